"""The layers of OpenVINO IR: which are in INT8, as the file says it and as the CPU does it, and what they return."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.runtimes.coverage import Coverage, Node
from edgehr.runtimes.formats import Probe, fill_batch
from edgehr.runtimes.openvino.library import FAILURES, ov
from edgehr.runtimes.openvino.runtime import as_written, read_ir
from edgehr.runtimes.openvino.signal_stack import kept_signal_stack

_CONVOLUTIONS = {
    "Convolution": 1,  # filter (out, in, height, width): dimensions before those that every output element takes
    "GroupConvolution": 2,  # (group, out, in, height, width)
    "ConvolutionBackpropData": 1,  # (in, out, height, width), taken by every input element
    "GroupConvolutionBackpropData": 2,
}
LAYERS = {*_CONVOLUTIONS, "MatMul"}
_JOINING = {"Add", "Subtract", "Multiply", "Divide", "Concat", "Maximum", "Minimum"}
# What they return was among what they took, but for zeros and limits: 8 bits stay 8 bits.
_MOVING = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "StridedSlice", "Split", "VariadicSplit", "Concat"}
_MOVING |= {"Gather", "MaxPool", "Pad", "Relu", "Clamp", "DepthToSpace", "SpaceToDepth", "Broadcast", "ShuffleChannels"}
_ENDS = {"Constant", "Parameter", "Result", "FakeQuantize", "Convert", "ShapeOf"}
_BYTES = {ov.Type.i8, ov.Type.u8}
_REAL = {ov.Type.f32, ov.Type.f16, ov.Type.bf16}
_MOST_LEVELS = 256


def read_coverage(path: Path) -> Coverage:
    """Read the coverage of an IR, and compile it for the CPU to see what that makes of it.

    Raises:
        ArtifactError: It cannot be read.
    """
    core = ov.Core()
    model = read_ir(core, path)
    nodes = model_nodes(model)
    return Coverage(tuple(nodes), _executed(core, model, nodes))


def model_nodes(model: Any) -> list[Node]:
    """List the nodes of an `openvino.Model`; dynamic dimensions, the batch's, count as 1."""
    graph = _Graph(model.get_ordered_ops())
    return [graph.node(op) for op in graph.operators if graph.is_counted(op)]


def open_probe(path: Path, names: Iterable[str]) -> Probe:
    """Open a model with more results, compiled for the CPU in float32 where it is not quantized.

    Raises:
        ArtifactError: It cannot be read.
    """
    core = ov.Core()
    model = read_ir(core, path)
    operators = {op.get_friendly_name(): op for op in model.get_ordered_ops() if op.get_output_size()}
    wanted = [name for name in dict.fromkeys(names) if name in operators]
    before = len(model.outputs)
    results = [ov.op.Result(operators[name].output(0)) for name in wanted]
    model.add_results(results)
    with kept_signal_stack(), kept_signal_stack():
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **as_written(core, "CPU")})
    request = compiled.create_infer_request()
    port = model.inputs[0]
    size = port.partial_shape[0]
    dtype = port.element_type.to_dtype()

    def probe(crop: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        batch = fill_batch(crop, None if size.is_dynamic else size.get_length()).astype(dtype)
        request.infer({0: batch})
        return {name: request.get_output_tensor(before + i).data.copy() for i, name in enumerate(wanted)}

    return probe


def _executed(core: Any, model: Any, nodes: list[Node]) -> float | None:
    """Return the share of multiply-adds in operators that the CPU runs by an INT8 primitive."""
    try:
        with kept_signal_stack():
            compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **as_written(core, "CPU")})
    except FAILURES:
        return None
    done = set()
    for op in compiled.get_runtime_model().get_ops():
        info = op.get_rt_info()
        # The primitive's name ends with the type of its data. `runtimePrecision` is that of weights for some.
        if _text(info, "primitiveType").lower().endswith(("_i8", "_u8")):
            done.update(_text(info, "originalLayersNames").split(","))
    macs = sum(node.macs for node in nodes)
    return sum(node.macs for node in nodes if node.name in done) / macs if macs else None


def _text(info: Any, key: str) -> str:
    return str(info[key].astype(str)) if key in info else ""


class _Graph:
    """A model with what is known of the values of its tensors."""

    def __init__(self, operators: list[Any]) -> None:
        self.operators = operators
        self._constants: set[str] = set()
        self._bytes: set[str] = set()
        for op in operators:
            name, sources = op.get_name(), _sources(op)
            if op.get_type_name() == "Constant" or (sources and all(s in self._constants for s in sources)):
                self._constants.add(name)
            if self._keeps_bytes(op):
                self._bytes.add(name)

    def is_counted(self, op: Any) -> bool:
        """Tell whether the layer computes or moves real values that come from the image."""
        kind, name = op.get_type_name(), op.get_name()
        if kind in _ENDS or name in self._constants or op.get_output_element_type(0) not in _REAL:
            return False
        return not self._is_scaling(op)

    def node(self, op: Any) -> Node:
        """Return what a report needs to know of the layer."""
        return Node(op.get_friendly_name(), op.get_type_name(), _macs(op), self._is_int8(op))

    def _keeps_bytes(self, op: Any) -> bool:
        """Tell whether what it returns takes 256 values at most: quantized, perhaps scaled back, and moved at most."""
        kind = op.get_type_name()
        if kind == "FakeQuantize":
            return bool(op.get_attributes()["levels"] <= _MOST_LEVELS)
        if op.get_output_size() and op.get_output_element_type(0) in _BYTES:
            return True
        if kind == "Convert":
            return _sources(op)[0] in self._bytes
        moving = kind in _MOVING or (kind == "Interpolate" and op.get_attributes().get("mode") == "nearest")
        return self._is_scaling(op) or (moving and self._is_int8(op))

    def _is_scaling(self, op: Any) -> bool:
        """Tell whether it is part of a dequantization: bytes less a constant zero point, or times a constant scale."""
        if op.get_type_name() not in ("Subtract", "Multiply"):
            return False
        source, constant = _sources(op)
        return _comes_from_bytes(op) and source in self._bytes and constant in self._constants

    def _is_int8(self, op: Any) -> bool:
        kind, sources = op.get_type_name(), _sources(op)
        if kind in LAYERS:
            sources = sources[:2]
        elif kind not in _JOINING:
            sources = sources[:1]
        return all(source in self._bytes for source in sources)


def _comes_from_bytes(op: Any) -> bool:
    """Tell whether what it takes was just converted from bytes: other products of quantized values are real work."""
    source = op.input_value(0).get_node()
    while source.get_type_name() == "Subtract":
        source = source.input_value(0).get_node()
    return source.get_type_name() == "Convert" and source.get_input_element_type(0) in _BYTES


def _sources(op: Any) -> list[str]:
    return [value.get_node().get_name() for value in op.input_values()]


def _macs(op: Any) -> int:
    kind = op.get_type_name()
    if kind not in LAYERS:
        return 0
    data, weights = (_sizes(value.get_partial_shape()) for value in op.input_values()[:2])
    made = prod(_sizes(op.get_output_partial_shape(0)))
    if kind == "MatMul":
        return made * data[-2 if op.get_attributes()["transpose_a"] else -1]
    taken = prod(weights[_CONVOLUTIONS[kind] :])
    return (prod(data) if "Backprop" in kind else made) * taken


def _sizes(shape: Any) -> list[int]:
    return [1 if size.is_dynamic else size.get_length() for size in shape]
