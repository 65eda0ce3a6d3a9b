"""ONNX graphs: reading, checking and describing them."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import onnx

from edgehr.errors import ArtifactError, EdgehrError, first_line
from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.formats import check_file
from edgehr.runtimes.onnx.whole import HASH_MARKER
from edgehr.runtimes.self_hash import HASH_KEY, PLACEHOLDER, sealed

_TYPES = {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16", onnx.TensorProto.INT8: "int8"}


def load_onnx(path: Path) -> Any:
    """Read a file as an `onnx.ModelProto`; raises ArtifactError where it is missing, truncated or foreign."""
    check_file(path)
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's decoding errors share no public base class
        raise ArtifactError(f"{path}: onnx cannot read it, truncated or foreign: {first_line(error)}") from None


def strip_traces(model: Any) -> None:
    """Remove what exporter and simplifier note about themselves: source paths, stack traces, their settings."""
    del model.metadata_props[:]
    graph = model.graph
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def check_onnx(model: Any) -> None:
    """Run ONNX's checker with shape inference; raises EdgehrError with its first line."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EdgehrError(f"the exported graph is not valid ONNX: {str(error).strip().splitlines()[0]}") from error


def weight_precision(model: Any) -> str:
    """Return the precision that most of a graph's weight values are stored in: ``fp32``, ``fp16`` or ``int8``."""
    sizes: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        if tensor.data_type in _TYPES:
            sizes[_TYPES[tensor.data_type]] += prod(tensor.dims)
    return sizes.most_common(1)[0][0] if sizes else "fp32"


def embed(model: Any, artifact: Artifact) -> None:
    """Write an artifact's description into a graph's metadata, in place."""
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, artifact.to_json()


def write_artifact(model: Any, artifact: Artifact, path: Path) -> Any:
    """Write a graph with an artifact's description and the hash of the whole file; returns it as `described` does."""
    model = described(model, artifact)
    entry = model.metadata_props.add()
    entry.key, entry.value = HASH_KEY, PLACEHOLDER
    path.write_bytes(sealed(model.SerializeToString(), HASH_MARKER))
    return model


def described(model: Any, artifact: Artifact) -> Any:
    """Return a copy of a graph with an artifact's description in its metadata, for every runtime that knows its opset.

    Exporters write the IR version of the `onnx` package beside them, which says nothing of the graph and keeps older
    runtimes from opening it: ONNX Runtime 1.17, which knows opset 18, reads IR 9 at most.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    lowest = onnx.helper.find_min_ir_version_for(copy.opset_import, ignore_unknown=True)
    copy.ir_version = min(copy.ir_version, lowest)
    embed(copy, artifact)
    return copy
