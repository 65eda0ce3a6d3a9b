"""ONNX graphs: precision, and what they say of themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx

from edgehr.runtimes.artifact import METADATA_KEY, Artifact

_TYPES = {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16", onnx.TensorProto.INT8: "int8"}


def weight_precision(model: Any) -> str:
    """The precision that most of a graph's weight values are stored in: ``fp32``, ``fp16`` or ``int8``."""
    sizes: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        if tensor.data_type in _TYPES:
            count = 1
            for dimension in tensor.dims:
                count *= dimension
            sizes[_TYPES[tensor.data_type]] += count
    return sizes.most_common(1)[0][0] if sizes else "fp32"


def embed(model: Any, artifact: Artifact) -> None:
    """Write an artifact's description into a graph's metadata, in place."""
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, artifact.to_json()
