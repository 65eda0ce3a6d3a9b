"""Tell where the hash of a whole `.onnx` stands in it."""

from __future__ import annotations

from pathlib import Path

from edgehr.runtimes.self_hash import HASH_KEY, PLACEHOLDER, is_whole

HASH_NAME = HASH_KEY.encode()
# An entry of the metadata as protobuf writes it: field 1, the key, and field 2, the value, each with its length.
HASH_MARKER = b"\n" + bytes([len(HASH_NAME)]) + HASH_NAME + b"\x12" + bytes([len(PLACEHOLDER)])


def is_whole_onnx(path: Path) -> bool:
    """Tell whether an `.onnx` is what edgehr wrote; see `is_whole`."""
    return is_whole(path, HASH_MARKER, HASH_NAME)
