"""ONNX graphs in the form that TensorRT takes, and bundles of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgehr.converters.onnx.graph import load_onnx
from edgehr.errors import ArtifactError
from edgehr.runtimes.artifact import METADATA_KEY, Artifact, require_artifact
from edgehr.runtimes.onnx.whole import is_whole_onnx
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.settings import BuildSettings


def bundle_from_onnx(path: Path) -> Bundle:
    """Make a bundle of an ONNX artifact, quantized (Q/DQ) ones included.

    Raises:
        ArtifactError: The file is missing, damaged or was not written by edgehr.
    """
    model = load_onnx(path)
    is_whole_onnx(path)
    embedded = {entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY)
    artifact = require_artifact(None if embedded is None else Artifact.from_json(embedded), path)
    if has_unsigned(model):
        raise ArtifactError(
            f"{path}: has unsigned INT8 tensors, which TensorRT does not take: convert the model with --to trt-bundle"
        )
    if is_quantized(model):  # a quantizer keeps the metadata of the float model
        artifact = replace(artifact, precision="int8")
    fold_integer_biases(model)
    return Bundle(model.SerializeToString(), artifact, BuildSettings())


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
    used = {name for node in graph.node for name in node.input} | {entry.name for entry in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    return len(folded)


def has_unsigned(model: Any) -> bool:
    """Tell whether a graph quantizes to unsigned bytes, which TensorRT does not take."""
    constants = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    points = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2]
    return any(constants.get(name) == onnx.TensorProto.UINT8 for name in points)


def is_quantized(model: Any) -> bool:
    """Tell whether a graph has Q/DQ nodes."""
    return any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node)
