"""The layers of ONNX graphs: which compute in INT8, by Q/DQ nodes or quantized operators, and what they return."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError, MissingDependencyError, first_line
from edgehr.runtimes.coverage import Coverage, Node
from edgehr.runtimes.formats import Probe, fill_batch

try:
    import onnx
except ImportError as error:
    raise MissingDependencyError(f"the onnx package is not usable ({error}): pip install 'edgehr[convert]'") from error

# Operators that multiply and add -> where their data and their weights are among the inputs.
_LAYERS = {
    "Conv": (0, 1),
    "ConvTranspose": (0, 1),
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "ConvInteger": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearConv": (0, 3),
    "QLinearMatMul": (0, 3),
}
_QUANTIZED = {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
# All of their inputs are data.
_JOINING = {"Add", "Sub", "Mul", "Div", "Concat", "Sum", "Max", "Min", "Mean", "MatMul"}
# What they return was among what they took, but for zeros and limits: 8 bits stay 8 bits.
_MOVING = {"Identity", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat", "Gather"}
_MOVING |= {"MaxPool", "Pad", "Relu", "Clip", "DepthToSpace", "SpaceToDepth", "Expand", "Tile"}
_ENDS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Constant", "Shape", "ConstantOfShape"}
_BYTES = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
_REAL = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}


def read_coverage(path: Path) -> Coverage:
    """Read the coverage of a graph; dynamic dimensions, the batch's, count as 1.

    Raises:
        ArtifactError: ONNX cannot read the graph or infer its shapes.
    """
    try:
        return graph_coverage(onnx.load(path))
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError, TypeError, OSError) as error:
        raise ArtifactError(f"{path}: its operators cannot be counted: {first_line(error)}") from None


def graph_coverage(model: Any) -> Coverage:
    """Read the coverage of an `onnx.ModelProto`, whose dynamic dimensions become 1, in place."""
    for entry in (*model.graph.input, *model.graph.output):
        for size in entry.type.tensor_type.shape.dim:
            if not size.dim_value:
                size.dim_value = 1
    graph = _Graph(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph)
    return Coverage(tuple(graph.node(node) for node in graph.nodes if graph.is_counted(node)))


def open_probe(path: Path, names: Iterable[str]) -> Probe:
    """Open a graph with more outputs, unfused, so that Q and DQ round every tensor where the file says so.

    Raises:
        EdgehrError: ONNX Runtime does not open it.
    """
    from edgehr.runtimes.onnx.library import ort

    model = onnx.load(path)
    made = {_node_name(node): node.output[0] for node in model.graph.node}
    known = {entry.name for entry in model.graph.output}
    wanted = {name: made[name] for name in names if name in made}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted.values() if name not in known)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception type per status code and no common base
        raise EdgehrError(f"{path}: ONNX Runtime does not show its layers: {error}") from None
    (entry,) = session.get_inputs()
    dtype = np.float16 if "float16" in entry.type else np.float32

    def probe(crop: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        batch = fill_batch(crop, entry.shape[0]).astype(dtype)
        return dict(zip(wanted, session.run(list(wanted.values()), {entry.name: batch}), strict=True)) if wanted else {}

    return probe


class _Graph:
    """A graph with the types and shapes of its tensors, and what is known of their values."""

    def __init__(self, graph: Any) -> None:
        self.nodes = list(graph.node)  # in an order in which they can run, as ONNX demands
        self._types = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in graph.initializer}
        self._constants = set(self._types)
        for entry in (*graph.value_info, *graph.input, *graph.output):
            tensor = entry.type.tensor_type
            self._types[entry.name] = (tensor.elem_type, [size.dim_value for size in tensor.shape.dim])
        self._bytes: set[str] = set()
        for node in self.nodes:
            if all(name in self._constants for name in node.input if name):
                self._constants.update(node.output)
            if self._keeps_bytes(node):
                self._bytes.update(node.output)

    def is_counted(self, node: Any) -> bool:
        """Tell whether the layer computes or moves real values that come from the image."""
        if node.op_type in _ENDS or node.output[0] in self._constants:
            return False
        return node.op_type in _QUANTIZED or self._type(node.output[0]) in _REAL

    def node(self, node: Any) -> Node:
        """Return what a report needs to know of the layer."""
        return Node(_node_name(node), node.op_type, self._macs(node), self._is_int8(node))

    def _type(self, name: str) -> int:
        return int(self._types.get(name, (0, []))[0])

    def _shape(self, name: str) -> list[int]:
        if not all(self._types.get(name, (0, [0]))[1]):
            raise ValueError(f"the shape of {name} is not known")
        return self._types[name][1]

    def _keeps_bytes(self, node: Any) -> bool:
        """Tell whether what it returns takes 256 values at most: dequantized from bytes, and moved at most."""
        if node.op_type == "DequantizeLinear":
            return self._type(node.input[0]) in _BYTES
        moving = node.op_type in _MOVING or (node.op_type == "Resize" and _mode(node) == "nearest")
        return moving and self._is_int8(node)

    def _is_int8(self, node: Any) -> bool:
        if node.op_type in _QUANTIZED:
            return True
        if node.op_type in _LAYERS:
            sources = [node.input[place] for place in _LAYERS[node.op_type]]
        else:
            sources = list(node.input) if node.op_type in _JOINING else [node.input[0]]
        return all(name in self._bytes for name in sources)

    def _macs(self, node: Any) -> int:
        if node.op_type not in _LAYERS:
            return 0
        data, weights = (self._shape(node.input[place]) for place in _LAYERS[node.op_type])
        if node.op_type == "ConvTranspose":  # every input element times a filter (in, out of one group, height, width)
            return prod(data) * prod(weights[1:])
        made = prod(self._shape(node.output[0]))
        if node.op_type in ("Conv", "ConvInteger", "QLinearConv"):  # filter (out, in of one group, height, width)
            return made * prod(weights[1:])
        turned = any(entry.name == "transA" and entry.i for entry in node.attribute)
        return made * data[0 if turned else -1]


def _node_name(node: Any) -> str:
    """Return a node's name; that of its output where it has none. Quantizers keep the first and change the second."""
    return str(node.name or node.output[0])


def _mode(node: Any) -> str:
    return next((entry.s.decode() for entry in node.attribute if entry.name == "mode"), "nearest")
