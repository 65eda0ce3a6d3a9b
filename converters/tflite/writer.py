"""A quantized network as a `.tflite`, with exactly the steps that it was fitted with."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, Operator, is_depthwise
from edgehr.calib.quantizer.kernels import fused_relu
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.operators import channel_slice, padding_of
from edgehr.card import ModelCard
from edgehr.converters.tflite.builder import Builder, Grid
from edgehr.converters.tflite.from_torch import SIGNATURE
from edgehr.errors import EdgehrError

_RELU = schema.ActivationFunctionType.RELU
_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
CHANNELS = 3  # axis of them, channels last


def write_tflite(network: Network, card: ModelCard, batch: int = 1) -> bytes:
    """Write a network that simulates the INT8 kernels of TFLite as the file whose kernels compute it.

    Args:
        network: Quantized, placed by `edgehr.calib.quantizer.kernels`.
        card: The model; its layout is that of the file's input and output.
        batch: Images per inference.

    Raises:
        EdgehrError: The network has something that TFLite has not.
    """
    return _Writer(network, batch).content(card)


class _Writer:
    """Operators as they come about; each tensor exists in float, as integers, or as both, once somebody wants it."""

    def __init__(self, network: Network, batch: int) -> None:
        self._network, self._graph, self._batch = network, network.graph, batch
        self._builder = Builder()
        self._floats: dict[str, int] = {}
        self._integers: dict[str, int] = {}
        self._done: set[str] = set()

    def content(self, card: ModelCard) -> bytes:
        graph, last = self._graph, card.layout == "nhwc"
        source = self._builder.tensor(self._shape(graph.input, last), np.float32)
        self._floats[graph.input] = source if last else self._transposed(source, graph.input, (0, 2, 3, 1), True)
        for operator in graph.operators:
            if operator.name not in self._done:
                self._add(operator)
        result = self._float(graph.output)
        result = result if last else self._transposed(result, graph.output, (0, 3, 1, 2), False)
        return self._builder.finish(SIGNATURE, {card.input.name: source}, {card.outputs[0].name: result})

    def _shape(self, name: str, last: bool = True) -> tuple[int, ...]:
        """Of a tensor, with channels last."""
        shape = self._graph.shapes[name]
        if len(shape) != 4:
            raise EdgehrError(f"{name}: a tensor of {len(shape)} dimensions cannot be written channels last")
        _, channels, height, width = shape
        return (self._batch, height, width, channels) if last else (self._batch, channels, height, width)

    def _transposed(self, source: int, name: str, axes: tuple[int, ...], last: bool) -> int:
        result = self._builder.tensor(self._shape(name, last), np.float32)
        self._builder.add("TRANSPOSE", [source, self._builder.constant(np.array(axes, np.int32))], [result])
        return result

    # Tensors in the two forms.

    def _float(self, name: str) -> int:
        if name not in self._floats:
            self._floats[name] = self._builder.tensor(self._shape(name), np.float32)
            self._builder.add("DEQUANTIZE", [self._integers[name]], [self._floats[name]])
        return self._floats[name]

    def _integer(self, name: str) -> int:
        if name not in self._integers:
            self._integers[name] = self._builder.tensor(self._shape(name), np.int8, self._grid(name))
            self._builder.add("QUANTIZE", [self._floats[name]], [self._integers[name]])
        return self._integers[name]

    def _grid(self, name: str) -> Grid:
        network = self._network
        group = network.placement.groups[name]
        zero = -128 if group in network.placement.unsigned else network.zeros.get(group, 0)
        return Grid((float(np.float32(network.steps[group])),), zero)

    def _is_integer(self, operator: Operator) -> bool:
        return operator.name in self._network.placement.integer

    def _result(self, operator: Operator, name: str) -> int:
        """A new tensor for what an operator makes."""
        if self._is_integer(operator):
            self._integers[name] = self._builder.tensor(self._shape(name), np.int8, self._grid(name))
            return self._integers[name]
        self._floats[name] = self._builder.tensor(self._shape(name), np.float32)
        return self._floats[name]

    def _taken(self, operator: Operator) -> list[int]:
        """What an operator takes that is no constant."""
        get = self._integer if self._is_integer(operator) else self._float
        return [get(name) for name in self._graph.data(operator)]

    # Operators.

    def _add(self, operator: Operator) -> None:
        if operator.kind == CONVOLUTION:
            self._convolve(operator)
        elif operator.kind in ("Slice", "Split"):
            self._cut(operator)
        else:
            kind, options, constants = _plain(self._graph, operator)
            inputs = [*self._taken(operator), *(self._builder.constant(value) for value in constants)]
            made, relu = operator, fused_relu(self._graph, operator) if operator.kind == "Add" else None
            if relu:
                made, options.fusedActivationFunction = relu, _RELU
                self._done.add(relu.name)
            self._builder.add(kind, inputs, [self._result(operator, made.outputs[0])], options)

    def _convolve(self, operator: Operator) -> None:
        weight = self._graph.weight(operator)
        depthwise = is_depthwise(weight)
        (source,) = self._taken(operator)
        padding, source = self._padded(operator, source)
        inputs = [source, *self._layer(operator, depthwise)]
        relu = fused_relu(self._graph, operator)
        options: Any = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding = padding
        options.strideH, options.strideW = operator.attributes.get("strides", [1, 1])
        if depthwise:
            options.depthMultiplier = 1
        if relu:
            options.fusedActivationFunction = _RELU
            self._done.add(relu.name)
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self._builder.add(kind, inputs, [self._result(operator, (relu or operator).outputs[0])], options)

    def _layer(self, operator: Operator, depthwise: bool) -> list[int]:
        """Weights and bias of a convolution."""
        builder, layer, axes = (
            self._builder,
            self._network.layers[operator.name],
            (1, 2, 3, 0) if depthwise else (0, 2, 3, 1),
        )
        bias = layer.bias.numpy()
        if layer.step is None:
            return [builder.constant(layer.weight.numpy().transpose(axes)), builder.constant(bias)]
        steps = layer.step.numpy()
        grid = Grid(tuple(steps.tolist()), 0, CHANNELS if depthwise else 0)
        integers = layer.integers.transpose(axes)
        weight = builder.constant(integers, grid)
        if operator.name in self._network.placement.dynamic:
            return [weight, builder.constant(bias)]  # of float data, which have no scale that a whole bias could be in
        if not self._is_integer(operator):
            widened = builder.tensor(integers.shape, np.float32)
            builder.add("DEQUANTIZE", [weight], [widened])
            return [widened, builder.constant(bias)]
        sums = np.float32(self._grid(operator.inputs[0]).steps[0]) * steps
        whole = np.clip(np.round(bias.astype(np.float64) / sums), -(2**31), 2**31 - 1).astype(np.int32)
        return [weight, builder.constant(whole, Grid(tuple(sums.tolist())))]

    def _padded(self, operator: Operator, source: int) -> tuple[int, int]:
        """How TFLite is to pad, and what: with a stride of two its own way differs from PyTorch's."""
        rows, columns = padding_of(operator)
        height, width = self._graph.weight(operator).shape[2:]
        if not rows and not columns:
            return _VALID, source
        if operator.attributes.get("strides", [1, 1]) == [1, 1] and (2 * rows + 1, 2 * columns + 1) == (height, width):
            return _SAME, source
        name = operator.inputs[0]
        batch, tall, wide, channels = self._shape(name)
        shape = (batch, tall + 2 * rows, wide + 2 * columns, channels)
        dtype, grid = (np.int8, self._grid(name)) if self._is_integer(operator) else (np.float32, None)
        padded = self._builder.tensor(shape, dtype, grid)
        amounts = np.array([[0, 0], [rows, rows], [columns, columns], [0, 0]], np.int32)
        self._builder.add("PAD", [source, self._builder.constant(amounts)], [padded], schema.PadOptionsT())
        return _VALID, padded

    def _cut(self, operator: Operator) -> None:
        (source,) = self._taken(operator)
        if operator.kind == "Slice":
            starts = [channel_slice(self._graph, operator).start]
        else:
            sizes = [self._graph.channels(name) for name in operator.outputs]
            starts = [0, *np.cumsum(sizes)[:-1].tolist()]
        for start, name in zip(starts, operator.outputs, strict=True):
            begin = self._builder.constant(np.array([0, 0, 0, start], np.int32))
            size = self._builder.constant(np.array(self._shape(name), np.int32))
            self._builder.add("SLICE", [source, begin, size], [self._result(operator, name)], schema.SliceOptionsT())


def _plain(graph: Graph, operator: Operator) -> tuple[str, Any, list[NDArray[Any]]]:
    """TFLite's name of an operator, its options, and the constants that it takes after its data."""
    kind, attributes = operator.kind, operator.attributes
    options: Any
    if kind in ("Add", "Mul"):
        constants = (graph.constants[name] for name in operator.inputs if name in graph.constants)
        options = schema.AddOptionsT() if kind == "Add" else schema.MulOptionsT()
        return kind.upper(), options, [constant.transpose(0, 2, 3, 1) for constant in constants]
    if kind == "Relu":
        return "RELU", None, []
    if kind == "Sigmoid":
        return "LOGISTIC", None, []
    if kind == "Concat":
        options = schema.ConcatenationOptionsT()
        options.axis = CHANNELS
        return "CONCATENATION", options, []
    if kind == "ReduceMean":
        options = schema.ReducerOptionsT()
        options.keepDims = True
        return "MEAN", options, [np.array([1, 2], np.int32)]
    if kind == "AveragePool":
        options = schema.Pool2DOptionsT()
        options.padding = _VALID
        options.filterHeight, options.filterWidth = attributes["kernel_shape"]
        options.strideH, options.strideW = attributes.get("strides", [1, 1])
        return "AVERAGE_POOL_2D", options, []
    if kind == "Resize":
        sizes = [np.array(graph.shapes[operator.outputs[0]][2:], np.int32)]
        if attributes.get("mode", b"nearest") == b"nearest":
            return "RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT(), sizes
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners = attributes.get("coordinate_transformation_mode") == b"align_corners"
        options.halfPixelCenters = not options.alignCorners
        return "RESIZE_BILINEAR", options, sizes
    raise EdgehrError(f"{operator.name}: a {kind} cannot be written as TFLite")
