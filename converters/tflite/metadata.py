"""Finishing a `.tflite`: description and hash in its metadata, and what it holds read back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.tflite.container import (
    FLOAT16_ARITHMETIC,
    HASH_KEY,
    HASH_LENGTH,
    REDUCED_PRECISION_KEY,
    file_hash,
    metadata_spans,
)

COMPUTING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_KINDS = {"FLOAT32": "fp32", "FLOAT16": "fp16", "INT8": "int8"}
# The converter's own note, and what an earlier `embed` left.
_STRIPPED = ("keep_stablehlo_constant", METADATA_KEY, HASH_KEY, REDUCED_PRECISION_KEY)


def embed(content: bytes, artifact: Artifact, *, float16_arithmetic: bool = False) -> bytes:
    """Put the artifact's description and the file's own hash into the metadata.

    Args:
        content: A `.tflite`.
        artifact: What it says of itself; its precision is replaced by the one found in the file.
        float16_arithmetic: Let XNNPACK compute in half precision where the CPU has that.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    artifact = replace(artifact, precision=precision(model))
    model.metadata = [entry for entry in model.metadata or [] if _text(entry.name) not in _STRIPPED]
    entries = {METADATA_KEY: artifact.to_json(), HASH_KEY: "0" * HASH_LENGTH}
    if float16_arithmetic:
        entries[REDUCED_PRECISION_KEY] = FLOAT16_ARITHMETIC
    for name, text in entries.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        model.buffers.append(buffer)
        entry.name, entry.buffer = name, len(model.buffers) - 1
        model.metadata.append(entry)
    model.description = f"{artifact.card.name}, converted by edgehr"
    written = bytearray(pack(model))
    place = metadata_spans(bytes(written), "the new file")[HASH_KEY]
    written[place.start : place.stop] = file_hash(bytes(written), place)
    return bytes(written)


def pack(model: Any) -> bytes:
    """Write a model of the schema's objects as a file that holds equal vectors once.

    Every per-channel quantization has as many 64-bit zeros as channels, twice a convolution: a fifth of an INT8 file
    of a small network.
    """
    builder = _SharingBuilder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Refers to a vector again where an equal one was written: offsets may meet, what is read is the same."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802, as its base class has it
        """Write one-dimensional numbers, or find where they were."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def precision(model: Any) -> str:
    """Return what a model computes in, by its convolutions.

    Returns:
        What most of their weights are: ``fp32``; ``fp16``; ``int8`` where some of the convolutions have quantized data,
        too, for which a file must have been calibrated; ``dynamic-int8`` where all of their data are float.
    """
    graph = model.subgraphs[0]
    made_by = {index: operator for operator in graph.operators for index in operator.outputs}
    weights, images = Counter[str](), set()
    for operator in graph.operators:
        name = operator_name(model, operator)
        if name not in COMPUTING:
            continue
        image, filters = (graph.tensors[operator.inputs[place]] for place in (2 if name == "TRANSPOSE_CONV" else 0, 1))
        source = made_by.get(operator.inputs[1])
        if source is not None and operator_name(model, source) == "DEQUANTIZE":
            filters = graph.tensors[source.inputs[0]]
        weights[tensor_type(filters)] += 1
        images.add(tensor_type(image))
    most = weights.most_common(1)[0][0] if weights else "FLOAT32"
    if most == "INT8" and images == {"FLOAT32"}:
        return "dynamic-int8"
    return _KINDS.get(most, most)


def read_precision(path: Path) -> str:
    """Return the `precision` of a file."""
    return precision(flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes())))


def operator_counts(content: bytes) -> dict[str, int]:
    """Count the operators of each type."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    return dict(Counter(operator_name(model, operator) for operator in model.subgraphs[0].operators).most_common())


def operator_name(model: Any, operator: Any) -> str:
    """Return the type of an operator: ``CONV_2D``, ..."""
    code = flatbuffer_utils.get_builtin_code_from_operator_code(model.operatorCodes[operator.opcodeIndex])
    return _OPERATORS[int(code)]


def tensor_type(tensor: Any) -> str:
    """Return the type of a tensor: ``FLOAT32``, ..."""
    return _TYPES[tensor.type]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


_OPERATORS: dict[int, str] = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}
_TYPES: dict[int, str] = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
