"""Damage of model files by their structure: fields of protobuf, and tables and vectors of FlatBuffers."""

from __future__ import annotations

import copy
import struct
from random import Random
from typing import Any

import numpy as np

from tests.campaign.mutations import INTEGERS, damage

# A field of a message of protobuf: number, wire type, and a number, bytes, or the fields of a message in it.
Field = list[Any]


def damage_protobuf(data: bytes, chance: Random) -> bytes:
    """Change fields at any depth; the lengths around them are right afterwards."""
    fields = _parse(data)
    if fields is None:
        return damage(data, chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        messages = _messages(fields)
        message = chance.choice(messages)
        if not message:
            continue
        place = chance.randrange(len(message))
        field, way = message[place], chance.randrange(7)
        if way == 0:
            del message[place]
        elif way == 1:
            message.insert(chance.randrange(len(message) + 1), copy.deepcopy(field))
        elif way == 2:
            field[0] = chance.randrange(1, 20)
        elif way == 3:
            other = chance.choice(chance.choice(messages) or [field])
            message[place] = copy.deepcopy(other)
        elif isinstance(field[2], int):
            field[2] = chance.choice((*INTEGERS, 2**40, 2**63 - 1, 2**64 - 1)) % 2**64
        elif isinstance(field[2], bytes) and field[1] == 2:
            field[2] = chance.choice((damage(field[2], chance), b"", b"x" * 3000, b"../../outside", field[2] * 3))
        else:
            field[2] = b""
            field[1] = 2
    return _write(fields)


def _messages(fields: list[Field]) -> list[list[Field]]:
    found = [fields]
    for _, _, value in fields:
        if isinstance(value, list):
            found += _messages(value)
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("too long")


def _parse(data: bytes, depth: int = 0) -> list[Field] | None:
    """Parse a message; None where the bytes are none."""
    fields: list[Field] = []
    place = 0
    try:
        while place < len(data):
            key, place = _varint(data, place)
            number, kind = key >> 3, key & 7
            if not number or kind not in (0, 1, 2, 5):
                return None
            if kind == 0:
                value, place = _varint(data, place)
                fields.append([number, kind, value])
                continue
            size = 8 if kind == 1 else 4
            if kind == 2:
                size, place = _varint(data, place)
            content = data[place : place + size]
            if len(content) != size:
                return None
            place += size
            inside = _parse(content, depth + 1) if kind == 2 and 1 < size < 100_000 and depth < 6 else None
            fields.append([number, kind, content if inside is None else inside])
    except (IndexError, ValueError):
        return None
    return fields


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def _write(fields: list[Field]) -> bytes:
    made = bytearray()
    for number, kind, value in fields:
        if isinstance(value, int):
            made += _number(number << 3) + _number(value)
            continue
        content = _write(value) if isinstance(value, list) else value
        kind = kind if kind in (1, 5) and len(content) == (8 if kind == 1 else 4) else 2
        made += _number(number << 3 | kind) + (_number(len(content)) if kind == 2 else b"") + content
    return bytes(made)


def damage_tflite(data: bytes, chance: Random) -> bytes:
    """Change offsets and lengths of a FlatBuffer where they stand, or what the model's tables say."""
    if chance.random() < 0.5:
        return _damage_offsets(data, chance)
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for _ in range(chance.choice((1, 1, 2, 3))):
        owner, name = chance.choice(_attributes(model))
        setattr(owner, name, _changed(getattr(owner, name), chance))
    try:
        return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    except Exception:  # what cannot be written is damaged otherwise
        return _damage_offsets(data, chance)


def _changed(value: Any, chance: Random) -> Any:
    """Return another value for an attribute of a table."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, np.integer)):
        return chance.choice((*(number for number in INTEGERS if -128 <= number < 128), int(value) + 1))
    if isinstance(value, np.ndarray):
        return _changed_array(value, chance)
    if isinstance(value, bytes):
        return chance.choice((b"", b"x" * 2000, damage(value, chance) if value else b"\xff"))
    if isinstance(value, list) and value:
        return _changed_list(list(value), chance)
    return value


def _changed_array(value: Any, chance: Random) -> Any:
    changed, whole = value.copy(), value.dtype.kind in "iu"
    if value.size:
        limits = np.iinfo(value.dtype if whole else np.int32)
        number = max(limits.min, min(limits.max, chance.choice(INTEGERS)))
        changed[chance.randrange(value.size)] = number
    return chance.choice((changed, changed, changed[:-1], np.repeat(changed, 2), None))


def _changed_list(value: list[Any], chance: Random) -> Any:
    place, way = chance.randrange(len(value)), chance.randrange(4)
    if way == 0:
        del value[place]
    elif way == 1:
        value.append(copy.deepcopy(value[place]))
    elif way == 2:
        return None
    elif not hasattr(value[place], "__dict__"):
        value[place] = chance.choice([number for number in INTEGERS if -(2**31) <= number < 2**31])
    return value


def _attributes(value: Any) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    for name, content in vars(value).items():
        if content is not None:
            found.append((value, name))
        for inside in content if isinstance(content, list) else [content]:
            if hasattr(inside, "__dict__"):
                found += _attributes(inside)
    return found


def _damage_offsets(data: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    likely = [
        place
        for place in range(0, min(len(data), 20_000) - 4, 4)
        if 0 < struct.unpack_from("<I", data, place)[0] < len(data)
    ]
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.choice(likely or [0])
        value = struct.unpack_from("<I", data, place)[0]
        new = chance.choice((value + 1, value - 1, value * 2, value + 4, len(data) - place, len(data), *INTEGERS))
        struct.pack_into("<I", changed, place, new % 2**32)
    return bytes(changed)
