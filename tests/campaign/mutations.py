"""Damage: bytes of any file, and the parts of JSON, XML, archives and pictures, changed by chance."""

from __future__ import annotations

import copy
import io
import json
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any
from xml.etree import ElementTree

INTEGERS = (0, 1, 2, 7, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, -1, -2, -(2**31))
TEXTS = ("", "x", "../../outside", "/etc/passwd", "C:\\x", "a\0b", "\ud800", "é" * 40, "9" * 400, "x" * 70_000)
VALUES = (
    *(None, True, False, 0, 1, -1, 0.5, 2**31, 2**64, 10**30, 1e308, float("nan"), float("inf"), -0.0),
    *TEXTS,
    *([], {}, [[]], [None], {"": None}, [1] * 1000, [float("nan")] * 4),
)


def damage(data: bytes, chance: Random, other: bytes = b"") -> bytes:
    """Change bytes in one to three ways.

    Args:
        data: A file.
        chance: What is drawn from.
        other: Another file, of which a part may be put in.
    """
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if len(changed) < 2:
            break
        chance.choice(_BYTES)(changed, chance, other)
    return bytes(changed)


def _flip(data: bytearray, chance: Random, other: bytes) -> None:
    for _ in range(chance.choice((1, 1, 2, 8))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _swap(data: bytearray, chance: Random, other: bytes) -> None:
    size = chance.choice((1, 1, 4, 16, 256))
    a, b = chance.randrange(len(data)), chance.randrange(len(data))
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _cut(data: bytearray, chance: Random, other: bytes) -> None:
    del data[chance.randrange(1, len(data)) :]


def _drop(data: bytearray, chance: Random, other: bytes) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.choice((1, 4, 64, 4096))]


def _repeat(data: bytearray, chance: Random, other: bytes) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.choice((1, 4, 64, 4096))]


def _zero(data: bytearray, chance: Random, other: bytes) -> None:
    start, size = chance.randrange(len(data)), chance.choice((1, 4, 512, 4096))
    size = len(data[start : start + size])
    data[start : start + size] = bytes(size)


def _splice(data: bytearray, chance: Random, other: bytes) -> None:
    source = other or bytes(data)
    start, place = chance.randrange(len(source)), chance.randrange(len(data))
    piece = source[start : start + chance.choice((4, 64, 4096))]
    data[place : place + len(piece)] = piece


def _number(data: bytearray, chance: Random, other: bytes) -> None:
    """Put a telling number, often where one may stand: at a multiple of four."""
    place = chance.randrange(len(data))
    place -= place % 4 if chance.random() < 0.7 else 0
    value = chance.choice((*INTEGERS, len(data), len(data) - place))
    packed = struct.pack(chance.choice("<>") + "I", value % 2**32)
    data[place : place + 4] = packed


_BYTES: tuple[Callable[[bytearray, Random, bytes], None], ...] = (
    *(_flip, _flip, _flip, _number, _number),
    *(_swap, _cut, _drop, _repeat, _zero, _splice),
)


def damage_json(data: bytes, chance: Random) -> bytes:
    """Change one to three values, keys or entries, wherever they are; now and then bytes too, or nest it deeply."""
    if chance.random() < 0.01:
        return b"[" * 100_000
    document = json.loads(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        document = _changed(document, chance)
    text = json.dumps(document).encode(chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")), "surrogatepass")
    return damage(text, chance) if chance.random() < 0.1 else text


def places(value: Any) -> list[tuple[Any, Any]]:
    """List every container of a document with each of its keys or indices."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found += [(value, key), *places(value[key])]
    return found


def _changed(document: Any, chance: Random) -> Any:
    found = places(document)
    if not found or chance.random() < 0.02:
        return copy.deepcopy(chance.choice(VALUES))
    container, key = chance.choice(found)
    way = chance.randrange(8)
    if way == 0:
        del container[key]
    elif way == 1 and isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif way == 1:
        container[chance.choice(TEXTS)] = container.pop(key)
    elif way == 2:
        other, place = chance.choice(found)
        container[key] = copy.deepcopy(other[place])
    elif way == 3 and isinstance(container[key], (int, float)) and not isinstance(container[key], bool):
        number = container[key]
        container[key] = chance.choice((-number, number * 1e9, number + 0.5, str(number), number // 2 or 3, [number]))
    elif way == 4 and isinstance(container[key], str):
        text = container[key]
        container[key] = chance.choice((text.upper(), text[:-1], text + "x", text + "\n", "../" + text, [text]))
    else:
        container[key] = copy.deepcopy(chance.choice(VALUES))
    return document


def damage_xml(data: bytes, chance: Random) -> bytes:
    """Change attributes, texts and elements."""
    root = ElementTree.fromstring(data)  # noqa: S314 - our own
    for _ in range(chance.choice((1, 1, 2, 3))):
        elements = list(root.iter())
        chosen = chance.choice(elements)
        way = chance.randrange(5)
        if way < 3 and chosen.attrib:
            name = chance.choice(list(chosen.attrib))
            value = chosen.get(name, "")
            options = [*map(str, INTEGERS), "", "nan", "../x", "/etc/passwd", "x" * 5000, value + "0", value[:-1]]
            options += [other.get(name, "") for other in elements if name in other.attrib]
            chosen.set(name, chance.choice(options))
            if way == 2:
                del chosen.attrib[name]
        elif way < 3:
            chosen.text = chance.choice([*map(str, INTEGERS), "", "x"])
        elif len(chosen):
            child = chance.choice(list(chosen))
            if way == 3:
                chosen.remove(child)
            else:
                chosen.insert(chance.randrange(len(chosen) + 1), copy.deepcopy(chance.choice(elements)))
    text = ElementTree.tostring(root)
    if chance.random() < 0.03:
        bomb = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
        return f'<!DOCTYPE net [<!ENTITY e0 "x">{bomb}]>'.encode() + text.replace(
            b"net name=", b'net n="&e9;" name=', 1
        )
    if chance.random() < 0.03:
        return b'<!DOCTYPE net [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + text.replace(b"></", b">&f;</", 1)
    return text


def damage_zip(data: bytes, chance: Random, inner: Callable[[str, bytes, Random], bytes]) -> bytes:
    """Change an archive, whose checksums are right afterwards: a member's content, its name, or the list of members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    place = chance.randrange(len(members))
    name, content = members[place]
    way = chance.randrange(8)
    if way == 0:
        del members[place]
    elif way == 1:
        members.append((name, damage(content, chance)))
    elif way == 2:
        members[place] = (chance.choice(("../outside", "/tmp/outside", name + "x", "", name.upper())), content)  # noqa: S108
    elif way == 3:
        chance.shuffle(members)
    else:
        members[place] = (name, inner(name, content, chance))
    packed = io.BytesIO()
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            archive.writestr(name or "x", content)
    return packed.getvalue()


# Names that a pickle may import, as the text of the old opcode GLOBAL and as a pair of texts.
NAMES = (
    *("os system", "posix system", "builtins eval", "builtins getattr", "subprocess Popen", "numpy load", "torch load"),
    *(
        "torch.hub load",
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
        "torch UntypedStorage",
        "shutil rmtree",
    ),
    *("collections OrderedDict", "torch.storage _load_from_bytes", "functools partial", "pathlib Path", "io open"),
    *("torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_qtensor", "numpy.core.multiarray _reconstruct"),
    *("numpy ndarray", "numpy dtype", "builtins bytearray", "builtins list", "torch Size", "torch device", "a b"),
)


def damage_pickle(data: bytes, chance: Random) -> bytes:
    """Change opcodes and their arguments: other names, numbers and texts, opcodes left out or repeated."""
    try:
        found = [(opcode, argument, place) for opcode, argument, place in pickletools.genops(data)]
    except Exception:
        return damage(data, chance)
    ends = [place for *_, place in found[1:]] + [found[-1][2] + 1]
    pieces = [data[place:end] for (*_, place), end in zip(found, ends, strict=True)]
    rest = data[ends[-1] :]
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.randrange(len(pieces))
        name = found[min(place, len(found) - 1)][0].name
        way = chance.randrange(6)
        if way == 0:
            pieces[place] = b""
        elif way == 1:
            pieces.insert(place, pieces[chance.randrange(len(pieces))])
        elif way == 2:
            module, _, attribute = chance.choice(NAMES).partition(" ")
            pieces[place] = f"c{module}\n{attribute}\n".encode()
        elif way == 3:
            pieces[place] = chance.choice(
                (b"R", b"b", b"(", b"t", b"}", b"]", b"N", b"Q", b"u", b"s", b"0", b"\x81", b"\x93")
            )
        elif name in ("BININT", "BININT1", "BININT2", "LONG1") or way == 4:
            pieces[place] = b"J" + struct.pack("<i", chance.choice([n for n in INTEGERS if -(2**31) <= n < 2**31]))
        else:
            text = chance.choice(TEXTS[:-2]).encode("utf-8", "surrogatepass")
            pieces[place] = b"X" + struct.pack("<I", len(text)) + text
    return b"".join(pieces) + rest


def damage_safetensors(data: bytes, chance: Random) -> bytes:
    """Change the JSON header, whose length is right afterwards, mostly; or the length."""
    size = int.from_bytes(data[:8], "little")
    if chance.random() < 0.15:
        wrong = chance.choice((0, 1, size - 1, size + 1, len(data), 2**31, 2**40, 2**63, 2**64 - 1))
        return wrong.to_bytes(8, "little") + data[8:]
    document = json.loads(data[8 : 8 + size])
    for _ in range(chance.choice((1, 1, 2))):
        document = _changed(document, chance)
    header = json.dumps(document).encode("utf-8", "surrogatepass")
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def damage_png(data: bytes, chance: Random) -> bytes:
    """Change a chunk's content, with a right checksum afterwards."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append([data[place + 4 : place + 8], bytearray(data[place + 8 : place + 8 + size])])
        place += 12 + size
    chosen = chunks[0] if chance.random() < 0.5 else chance.choice(chunks)
    if chosen[0] == b"IHDR" and chance.random() < 0.7:
        side = chance.choice((0, 1, 100, 20_000, 65_535, 2**20, 2**31 - 1, 2**32 - 1))
        place = chance.choice((0, 4))
        chosen[1][place : place + 4] = side.to_bytes(4, "big")
    else:
        chosen[1] = bytearray(damage(bytes(chosen[1]), chance))
    made = data[:8]
    for kind, content in chunks:
        made += len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    return bytes(made)


def damage_segments(data: bytes, chance: Random, *, big: bool = True) -> bytes:
    """Put telling numbers into the first bytes, where sizes and lengths of JPEG, WebP, BMP, TIFF and MP4 stand."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 4))):
        place, size = chance.randrange(min(len(data), 700)), chance.choice((2, 4))
        value = chance.choice(INTEGERS) % 256**size
        changed[place : place + size] = value.to_bytes(size, chance.choice(("big", "little")))
    return bytes(changed)
