"""A quantized network as ONNX with explicit QuantizeLinear and DequantizeLinear (Q/DQ)."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Operator
from edgehr.calib.quantizer.placement import MOVING
from edgehr.calib.quantizer.simulation import SPLIT_RATIO, SimulatedNetwork
from edgehr.converters.onnx.graph import check_onnx


def write_qdq(network: SimulatedNetwork, batch: int | None = 1) -> Any:
    """Write a network that simulates INT8 as the graph that runtimes compute in INT8.

    Weights are stored in 8 bits with a scale for each output channel. Biases are float: TensorRT takes no other, and
    ONNX Runtime quantizes them itself. Operators keep their names, tensors get short ones.
    Of a convolution with split activations, the sum has the name.

    Args:
        network: Quantized.
        batch: Images per inference, None for any number, whatever the graph was exported with.

    Returns:
        A checked `onnx.ModelProto`.
    """
    model = _Writer(network).model(batch)
    check_onnx(model)
    return model


class _Writer:
    """Nodes and constants as they come about."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network, self._graph = network, network.graph
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
        self._names = (f"t{number}" for number in count())
        # Old name of a tensor -> that of the new one, and of what its quantizer makes of it.
        self._renamed: dict[str, str] = {name: name for name in (self._graph.input, *self._graph.results)}
        self._pairs: dict[str, str] = {}
        self._split: dict[str, tuple[str, str]] = {}

    def model(self, batch: int | None) -> Any:
        graph = self._graph
        for operator in (*graph.operators, *graph.tail):
            self._add(operator)
        result = onnx.ModelProto()
        result.CopyFrom(graph.model)
        del result.graph.node[:], result.graph.initializer[:], result.graph.value_info[:]
        result.graph.node.extend(self._nodes)
        result.graph.initializer.extend(self._constants.values())
        for entry in (*result.graph.input, *result.graph.output):
            first = entry.type.tensor_type.shape.dim[0]
            first.Clear()
            if batch is None:
                first.dim_param = "batch"
            else:
                first.dim_value = batch
        return result

    def _add(self, operator: Operator) -> None:
        if operator.name in self._network.placement.split:
            self._convolve_split(operator)
            return
        if operator.kind == CONVOLUTION:
            inputs = [self._taken(operator, operator.inputs[0]), *self._layer(operator)]
        else:
            inputs = [self._source(operator, name) for name in operator.inputs]
        if operator.kind == "Resize":
            inputs = [inputs[0], "", self._constant(self._scales(operator))]
        for name in operator.outputs:
            self._renamed.setdefault(name, next(self._names))
        outputs = [self._renamed[name] for name in operator.outputs]
        self._nodes.append(helper.make_node(operator.kind, inputs, outputs, operator.name, **_telling(operator)))
        if operator.kind in MOVING and operator.name in self._network.placement.integer:
            for name in operator.outputs:
                self._renamed[name] = self._rounded(name)

    def _convolve_split(self, operator: Operator) -> None:
        """Both of what a quantizer makes of a tensor and what a second one makes of the rest, by the same weights."""
        weight, bias = self._layer(operator)
        coarse, fine = self._rounded_split(operator.inputs[0])
        parts = [next(self._names), next(self._names)]
        for inputs, part, name in (([coarse, weight, bias], parts[0], "coarse"), ([fine, weight], parts[1], "fine")):
            self._nodes.append(
                helper.make_node(operator.kind, inputs, [part], f"{operator.name}.{name}", **_telling(operator))
            )
        (result,) = operator.outputs
        self._renamed.setdefault(result, next(self._names))
        self._nodes.append(helper.make_node("Add", parts, [self._renamed[result]], operator.name))

    def _source(self, operator: Operator, name: str) -> str:
        if name in self._graph.constants:
            return self._constant(self._graph.constants[name])
        return self._taken(operator, name) if name else ""

    def _taken(self, operator: Operator, name: str) -> str:
        """Return a tensor as an operator takes it: rounded, or as it was made."""
        return self._rounded(name) if operator.name in self._network.placement.integer else self._renamed[name]

    def _scales(self, operator: Operator) -> NDArray[np.float32]:
        """Compute the scales of a resize: sizes would hold the batch."""
        before, after = self._graph.shapes[operator.inputs[0]], self._graph.shapes[operator.outputs[0]]
        return np.array([1, 1, after[2] / before[2], after[3] / before[3]], np.float32)

    def _layer(self, operator: Operator) -> list[str]:
        """Return the names of weights and bias."""
        layer = self._network.layers[operator.name]
        bias = self._constant(layer.bias.numpy())
        if layer.scale is None:
            return [self._constant(layer.weight.numpy()), bias]
        weight = next(self._names)
        sources = [self._constant(layer.integers), self._constant(layer.scale.numpy())]
        self._nodes.append(helper.make_node("DequantizeLinear", sources, [weight], axis=0))
        return [weight, bias]

    def _rounded(self, tensor: str) -> str:
        """Return what the pair of Q and DQ of a tensor makes of it."""
        quantizer = self._network.placement.quantizers.get(tensor)
        if quantizer is None:
            return self._renamed[tensor]
        if tensor not in self._pairs:
            kind = np.uint8 if quantizer in self._network.placement.unsigned else np.int8
            self._pairs[tensor] = self._pair(self._renamed[tensor], self._network.parameters[quantizer].scale, kind)
        return self._pairs[tensor]

    def _rounded_split(self, tensor: str) -> tuple[str, str]:
        """Return what a tensor's first quantizer makes of it, and its second one of the rest."""
        if tensor not in self._split:
            quantizer, source = self._network.placement.split_quantizers[tensor], self._renamed[tensor]
            scale = self._network.parameters[quantizer].scale
            coarse, rest = self._pair(source, scale, np.int8), next(self._names)
            self._nodes.append(helper.make_node("Sub", [source, coarse], [rest]))
            self._split[tensor] = coarse, self._pair(rest, scale / SPLIT_RATIO, np.int8)
        return self._split[tensor]

    def _pair(self, source: str, scale: float, kind: type[np.generic]) -> str:
        """Add Q and DQ of a new tensor, and return what they make of it."""
        integers, result = next(self._names), next(self._names)
        constants = [self._constant(np.array(scale, np.float32)), self._constant(np.array(0, kind))]
        self._nodes.append(helper.make_node("QuantizeLinear", [source, *constants], [integers]))
        self._nodes.append(helper.make_node("DequantizeLinear", [integers, *constants], [result]))
        return result

    def _constant(self, value: NDArray[Any]) -> str:
        """Return the name of a constant; equal ones are stored once."""
        value = np.ascontiguousarray(value)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(value, f"c{len(self._constants)}")
        return str(self._constants[key].name)


def _telling(operator: Operator) -> dict[str, Any]:
    """Return the attributes of an operator that are not ONNX's defaults, which the exporter writes out."""
    defaults: dict[str, Any] = {"dilations": [1, 1]}  # one in words, not in the schema
    for name, entry in onnx.defs.get_schema(operator.kind).attributes.items():
        if entry.default_value.name:
            defaults[name] = helper.get_attribute_value(entry.default_value)
    return {name: value for name, value in operator.attributes.items() if value != defaults.get(name)}
