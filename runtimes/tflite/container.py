"""What edgehr keeps inside a `.tflite`: the artifact's description, and a hash of the whole file.

Both are metadata buffers of the FlatBuffer, which every TFLite runtime ignores. LiteRT checks the structure of a file
before it follows its offsets; `tflite-runtime` 2.14 does not and crashes on a damaged one, so the hash is checked
first. It finds damage and truncation. It is no signature: who crafts a file can compute it too.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from edgehr.errors import ArtifactError, MissingDependencyError
from edgehr.runtimes.artifact import METADATA_KEY, Artifact

try:
    from flatbuffers import encode, packer
    from flatbuffers.table import Table
except ImportError as error:
    raise MissingDependencyError(f"flatbuffers is not usable ({error}): pip install 'edgehr[tflite]'") from error

HASH_KEY = "edgehr.sha256"
HASH_LENGTH = 64
# What XNNPACK looks for in the metadata: may it compute in half precision, and does it add up in that too?
REDUCED_PRECISION_KEY = "reduced_precision_support"
FLOAT16_ARITHMETIC = "fp16accfp16"
IDENTIFIER = b"TFL3"
MAX_METADATA = 64
# Field numbers of tables in the schema of TFLite (tensorflow/lite/schema/schema.fbs), where a file's buffers and
# metadata are found; a field's place in the table's index is 4 + 2 * number.
_MODEL_BUFFERS, _MODEL_METADATA = 4 + 2 * 4, 4 + 2 * 6
_METADATA_NAME, _METADATA_BUFFER = 4 + 2 * 0, 4 + 2 * 1
_BUFFER_DATA = 4 + 2 * 0


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop` of a file."""

    start: int
    stop: int


def read_artifact(data: bytes, name: str, *, recompiled: bool = False) -> Artifact | None:
    """Check a file against its own hash and read its description.

    Args:
        data: The whole file.
        name: Of the file, for messages.
        recompiled: A vendor's compiler has rewritten the file since, so its hash cannot fit.

    Returns:
        The description; None for a file that edgehr did not write, which is not checked.

    Raises:
        ArtifactError: It is no `.tflite`, or is damaged.
    """
    spans = metadata_spans(data, name)
    described, hashed = spans.get(METADATA_KEY), spans.get(HASH_KEY)
    if described is None and (recompiled or hashed is None):
        return None
    fits = recompiled or (hashed is not None and file_hash(data, hashed) == data[hashed.start : hashed.stop])
    if described is None or not fits:
        raise ArtifactError(f"{name}: was damaged or altered: it is not the file that edgehr wrote; convert it again")
    try:
        text = data[described.start : described.stop].decode()
    except UnicodeDecodeError:
        raise ArtifactError(f"{name}: its edgehr description is damaged") from None
    return Artifact.from_json(text)


def metadata_spans(data: bytes, name: str) -> dict[str, Span]:
    """Find the metadata buffers of a `.tflite` by name; raises ArtifactError for anything else."""
    if data[4:8] != IDENTIFIER:
        raise ArtifactError(f"{name}: is no TFLite model: truncated or foreign")
    try:
        return _spans(data)
    except (struct.error, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ArtifactError(f"{name}: is a damaged TFLite model ({error})") from None


def allows_float16(data: bytes, name: str) -> bool:
    """Tell whether the metadata of a `.tflite` lets XNNPACK compute in half precision."""
    span = metadata_spans(data, name).get(REDUCED_PRECISION_KEY)
    return span is not None and data[span.start : span.stop].startswith(b"fp16")


def file_hash(data: bytes, place: Span) -> bytes:
    """Compute the SHA-256 of a file, in hex, with zeros where it will stand."""
    digest = hashlib.sha256(data[: place.start])
    digest.update(b"0" * HASH_LENGTH)
    digest.update(data[place.stop :])
    return digest.hexdigest().encode()


def _spans(data: bytes) -> dict[str, Span]:
    model = Table(data, encode.Get(packer.uoffset, data, 0))
    buffers, entries = _tables(model, _MODEL_BUFFERS), _tables(model, _MODEL_METADATA, MAX_METADATA)
    found = {}
    for entry in entries:
        name_at, number_at = entry.Offset(_METADATA_NAME), entry.Offset(_METADATA_BUFFER)
        if not name_at:
            continue
        number = encode.Get(packer.uint32, data, entry.Pos + number_at) if number_at else 0
        buffer = buffers[number]
        content = buffer.Offset(_BUFFER_DATA)
        if content:
            start, length = buffer.Vector(content), buffer.VectorLen(content)
            if start + length > len(data):
                raise ValueError(f"metadata at {start} reaches beyond the end")
            found[entry.String(entry.Pos + name_at).decode()] = Span(start, start + length)
    return found


def _tables(parent: Table, field: int, most: int | None = None) -> list[Table]:
    offset = parent.Offset(field)
    if not offset:
        return []
    start, length = parent.Vector(offset), parent.VectorLen(offset)
    if length > (len(parent.Bytes) if most is None else most):
        raise ValueError(f"a list of {length} entries")
    return [Table(parent.Bytes, parent.Indirect(start + 4 * index)) for index in range(length)]
