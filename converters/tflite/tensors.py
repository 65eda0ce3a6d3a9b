"""Tensors of an ONNX graph as a `.tflite` holds them: in float or in INT8, in the layout that operators want.

TFLite's convolutions, pools and resizes take channels last. What ONNX calls (N, C, H, W) is therefore stored as
(N, H, W, C), and every other tensor in whichever order comes about without moving data. An operator says which layout
it wants and gets it: as it is, or behind a TRANSPOSE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.onnx_graph import Graph, Operator
from edgehr.calib.quantizer.placement import fused_relu
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.converters.tflite.builder import Builder, QuantizationParameters
from edgehr.errors import EdgehrError

# Which dimension of the tensor in ONNX each dimension of the stored one is.
Layout = tuple[int, ...]
MAX_INT8 = 127
_FUSING = ("ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "SUB")  # with an activation


def channels_last(rank: int) -> Layout:
    """Return the layout of channels last; the order of ONNX below three dimensions, where there is no other."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


class Tensors:
    """The tensors of a file that is being written, with what operators need to add themselves.

    Attributes:
        graph: The float network.
        network: The same quantized, whose integers are written; None for a float file.
        builder: Gets the operators.
        images: How many times the graph's own batch a file takes.
        weights: ``fp32``, ``fp16`` or ``dynamic-int8``: how weights of float operators are stored.
        layouts: Each tensor's layout, once it was made.
        done: Names of operators that were written as part of another.
    """

    def __init__(self, graph: Graph, network: SimulatedNetwork | None, images: int, weights: str) -> None:
        self.graph, self.network, self.images, self.weights = graph, network, images, weights
        self.builder = Builder()
        self.layouts: dict[str, Layout] = {}
        self.done: set[str] = set()
        self._stored: dict[tuple[str, bool, Layout], int] = {}

    def shape(self, name: str, layout: Layout | None = None) -> tuple[int, ...]:
        """Return the shape of a tensor in a layout, by default in that of ONNX.

        Raises:
            EdgehrError: Its sizes are not all known.
        """
        shape = self.graph.shapes.get(name)
        if shape is None or not all(shape):
            raise EdgehrError(f"{name}: a tensor whose shape is not fixed cannot be written as TFLite")
        shape = [shape[0] * self.images, *shape[1:]] if shape else []
        return tuple(shape) if layout is None else tuple(shape[axis] for axis in layout)

    def rank(self, name: str) -> int:
        """Return the number of dimensions of a tensor."""
        return len(self.shape(name))

    def is_integer(self, operator: Operator) -> bool:
        """Return whether an operator takes and returns INT8."""
        return self.network is not None and operator.name in self.network.placement.integer

    def quantization(self, name: str) -> QuantizationParameters:
        """Return scale and zero point of a tensor that is quantized."""
        network = self.network
        if network is None:
            raise ValueError("a float network has no scales")
        quantizer = network.placement.quantizers[name]
        parameters = network.parameters[quantizer]
        zero_point = -128 if quantizer in network.placement.unsigned else parameters.zero_point
        return QuantizationParameters((float(np.float32(parameters.scale)),), zero_point)

    # What operators take.

    def get(self, name: str, layout: Layout | None = None, *, integer: bool = False) -> int:
        """Return a tensor in a layout, by default the one it was made in, in float or in INT8."""
        made = self.layouts[name]
        layout = made if layout is None else layout
        key = (name, integer, layout)
        if key in self._stored:
            return self._stored[key]
        if layout != made:
            source, kind = self.get(name, made, integer=integer), "TRANSPOSE"
            constants = [self.builder.integers([made.index(axis) for axis in layout])]
        else:
            source, constants = self._stored[name, not integer, made], []
            kind = "QUANTIZE" if integer else "DEQUANTIZE"
        self._stored[key] = self._new(name, layout, integer=integer)
        self.builder.add(kind, [source, *constants], [self._stored[key]])
        return self._stored[key]

    def data(self, operator: Operator, layout: Layout | None = None) -> list[int]:
        """Return what an operator takes that is no constant, in INT8 where it computes in INT8."""
        integer = self.is_integer(operator)
        return [self.get(name, layout, integer=integer) for name in self.graph.data(operator)]

    def operand(self, name: str, layout: Layout) -> int:
        """Return a float tensor or a constant that is broadcast to tensors of this layout."""
        if name not in self.graph.constants:
            return self.get(name, layout if self.rank(name) == len(layout) else tuple(range(self.rank(name))))
        value = self.graph.constants[name]
        value = value.reshape((1,) * (len(layout) - value.ndim) + value.shape)
        return self.builder.constant(value.transpose(layout))

    def broadcast_layout(self, operator: Operator) -> Layout:
        """Return the layout in which to combine what an operator takes: that of its largest tensor."""
        names, rank = self.graph.data(operator), self.rank(operator.outputs[0])
        if any(self.rank(name) != rank for name in names):
            return tuple(range(rank))
        return self.layouts[max(names, key=lambda name: np.prod(self.shape(name)))]

    def constant_values(self, operator: Operator, place: int, attribute: str = "") -> list[Any] | None:
        """Return a constant input, or what older versions of ONNX have as an attribute; None where it is left out."""
        if place < len(operator.inputs) and operator.inputs[place]:
            value = self.graph.constants.get(operator.inputs[place])
            if value is None:
                raise unwritable(operator, f"whose input {place} is not constant")
            return list(value.ravel().tolist())
        found = operator.attributes.get(attribute)
        return None if found is None else list(found)

    def weight(self, value: NDArray[np.float32], axis: int = 0) -> int:
        """Add a weight of a float operator as this file stores weights.

        Args:
            value: In the order of TFLite.
            axis: The dimension of output channels.
        """
        return self._quantized(value, axis) if self.weights == "dynamic-int8" else self.float_weight(value)

    def float_weight(self, value: NDArray[np.float32]) -> int:
        """Add a weight of an operator that takes no integers beside float data, in the order of TFLite."""
        if self.weights == "fp32":
            return self.builder.constant(value)
        return self._widened(self.builder.constant(value.astype(np.float16)), value.shape)

    def integer_weight(self, integers: NDArray[np.int8], scales: NDArray[np.float32], axis: int, *, widen: bool) -> int:
        """Add a weight of INT8 with a scale for each output channel, and back in float behind it if `widen`."""
        weight = self.builder.constant(integers, QuantizationParameters(tuple(scales.tolist()), 0, axis))
        return self._widened(weight, integers.shape) if widen else weight

    def _quantized(self, value: NDArray[np.float32], axis: int) -> int:
        rows = np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1)
        scales = np.maximum(np.abs(rows).max(1) / np.float32(MAX_INT8), np.finfo(np.float32).tiny)
        along = np.expand_dims(scales, tuple(other for other in range(value.ndim) if other != axis))
        integers = np.clip(np.round(value / along), -MAX_INT8, MAX_INT8).astype(np.int8)
        return self.integer_weight(integers, scales, axis, widen=False)

    def _widened(self, constant: int, shape: Sequence[int]) -> int:
        result = self.builder.tensor(shape, np.float32)
        self.builder.add("DEQUANTIZE", [constant], [result])
        return result

    # What operators make.

    def make_input(self, name: str, layout: Layout) -> int:
        """Return the float tensor of an input of the graph, turned to channels last where it has channels."""
        self.layouts[name] = layout
        self._stored[name, False, layout] = source = self._new(name, layout, integer=False)
        last = channels_last(len(layout))
        self.get(name, last)
        self.layouts[name] = last
        return source

    def result(self, operator: Operator, name: str, layout: Layout) -> int:
        """Return a new tensor for what an operator makes."""
        self.layouts[name] = layout
        key = (name, self.is_integer(operator), layout)
        self._stored[key] = self._new(name, layout, integer=key[1])
        return self._stored[key]

    def add(
        self, kind: str, inputs: Sequence[int], operator: Operator, layout: Layout, options: Any = None, name: str = ""
    ) -> None:
        """Add the TFLite operator that makes the only, or the named, output of an ONNX one, in a layout.

        An activation that is the only reader of the result becomes part of it where TFLite allows that.
        """
        name = name or operator.outputs[0]
        fused = fused_activation(self.graph, operator) if kind in _FUSING else None
        if fused:
            activation, options.fusedActivationFunction = fused
            self.done.add(activation.name)
            name = activation.outputs[0]
        self.builder.add(kind, inputs, [self.result(operator, name, layout)], options)

    def store(self, name: str, layout: Layout, kind: type[np.generic]) -> int:
        """Return a new tensor of another type, which operators on float do not read, for what an operator makes."""
        self.layouts[name] = layout
        number = self._stored[name, False, layout] = self.builder.tensor(self.shape(name, layout), kind)
        return number

    def intermediate(self, kind: str, inputs: Sequence[int], shape: Sequence[int], options: Any = None) -> int:
        """Add a float operator whose result has no name in the graph."""
        result = self.builder.tensor(shape, np.float32)
        self.builder.add(kind, inputs, [result], options)
        return result

    def alias(self, name: str, source: str, layout: Layout) -> None:
        """Give the data of one tensor, read in another order of dimensions, to another."""
        self.layouts[name] = layout
        for (other, integer, stored), number in list(self._stored.items()):
            if other == source and stored == self.layouts[source]:
                self._stored[name, integer, layout] = number

    def _new(self, name: str, layout: Layout, *, integer: bool) -> int:
        if integer:
            return self.builder.tensor(self.shape(name, layout), np.int8, self.quantization(name))
        return self.builder.tensor(self.shape(name, layout), np.float32)


def fused_activation(graph: Graph, operator: Operator) -> tuple[Operator, int] | None:
    """Return the activation that TFLite computes as part of an operator, if one is all that reads its result."""
    relu = fused_relu(graph, operator)
    if relu:
        return relu, schema.ActivationFunctionType.RELU
    readers = graph.consumers(operator.outputs[0])
    if len(readers) == 1 and operator.outputs[0] not in graph.outputs and clip_bounds(graph, readers[0]) == (0, 6):
        return readers[0], schema.ActivationFunctionType.RELU6
    return None


def clip_bounds(graph: Graph, operator: Operator) -> tuple[float, float] | None:
    """Return the bounds of a Clip with constant ones; None for another operator."""
    if operator.kind != "Clip":
        return None
    names = (*operator.inputs[1:], "", "")[:2]
    if any(name and name not in graph.constants for name in names):
        return None
    low, high = (
        float(graph.constants[name]) if name else bound for name, bound in zip(names, (-np.inf, np.inf), strict=True)
    )
    return low, high


def unwritable(operator: Operator, why: str = "") -> EdgehrError:
    """Return the error about an operator that TFLite does not have."""
    return EdgehrError(f"{operator.name}: a {operator.kind}{why and f' {why}'} cannot be written as TFLite")
