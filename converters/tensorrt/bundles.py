"""ONNX artifacts as bundles for TensorRT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from edgehr.converters.onnx.qdq import fold_integer_biases, has_unsigned, is_quantized
from edgehr.errors import ArtifactError
from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.settings import BuildSettings


def bundle_from_onnx(path: Path) -> Bundle:
    """Make a bundle of an ONNX artifact, quantized (Q/DQ) ones included.

    Raises:
        ArtifactError: The file is missing, damaged or was not written by edgehr.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such model file")
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's decoding errors share no public base class
        raise ArtifactError(f"{path}: not an ONNX model, truncated or foreign ({type(error).__name__})") from None
    embedded = {entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY)
    if embedded is None:
        raise ArtifactError(f"{path}: was not converted by edgehr, so what it expects and returns is not known")
    artifact = Artifact.from_json(embedded)
    if has_unsigned(model):
        raise ArtifactError(
            f"{path}: has unsigned INT8 tensors, which TensorRT does not take: convert the model with --to trt-bundle"
        )
    if is_quantized(model):  # a quantizer keeps the metadata of the float model
        artifact = replace(artifact, precision="int8")
    fold_integer_biases(model)
    return Bundle(model.SerializeToString(), artifact, BuildSettings())
