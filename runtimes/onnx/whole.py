"""Where the hash of a whole `.onnx` stands in it."""

from __future__ import annotations

from edgehr.runtimes.self_hash import HASH_KEY, PLACEHOLDER

HASH_NAME = HASH_KEY.encode()
# An entry of the metadata as protobuf writes it: field 1, the key, and field 2, the value, each with its length.
HASH_MARKER = b"\n" + bytes([len(HASH_NAME)]) + HASH_NAME + b"\x12" + bytes([len(PLACEHOLDER)])
