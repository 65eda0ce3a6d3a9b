"""Quantized graphs (Q/DQ) in the form that TensorRT takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper


def fold_integer_biases(model: Any) -> int:
    """Replace dequantized INT32 constants (biases, as ONNX Runtime's quantizer writes them) by float ones, in place.

    TensorRT refuses Q/DQ on INT32; it quantizes biases itself.

    Returns:
        How many were replaced.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    folded = []
    for node in graph.node:
        source = constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if source is None or source.data_type != onnx.TensorProto.INT32 or node.input[1] not in constants:
            continue
        value = numpy_helper.to_array(source).astype(np.float32)
        if len(node.input) > 2 and node.input[2] in constants:
            value = value - numpy_helper.to_array(constants[node.input[2]]).astype(np.float32)
        value = value * numpy_helper.to_array(constants[node.input[1]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        folded.append(node)
    for node in folded:
        graph.node.remove(node)
    _drop_unused_constants(graph)
    return len(folded)


def has_unsigned(model: Any) -> bool:
    """Whether a graph quantizes to unsigned bytes, which TensorRT does not take."""
    constants = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    points = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2]
    return any(constants.get(name) == onnx.TensorProto.UINT8 for name in points)


def is_quantized(model: Any) -> bool:
    """Whether a graph has Q/DQ nodes."""
    return any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node)


def _drop_unused_constants(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input} | {entry.name for entry in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
