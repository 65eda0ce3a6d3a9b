"""Checkpoints that want to have code run, files read or written, or connections opened while they are read."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from random import Random

import numpy as np

# Module, name and arguments of what would leave a mark, or harm; {mark} is the file it would write.
CALLS: tuple[tuple[str, str, tuple[object, ...]], ...] = (
    ("os", "system", ("touch {mark}",)),
    ("posix", "system", ("touch {mark}",)),
    ("subprocess", "check_output", (["touch", "{mark}"],)),
    ("subprocess", "Popen", (["touch", "{mark}"],)),
    ("builtins", "eval", ("open('{mark}', 'w')",)),
    ("builtins", "exec", ("open('{mark}', 'w')",)),
    ("__builtin__", "eval", ("open('{mark}', 'w')",)),
    ("builtins", "open", ("{mark}", "w")),
    ("builtins", "__import__", ("this",)),
    ("io", "open", ("{mark}", "w")),
    ("_io", "FileIO", ("{mark}", "w")),
    ("codecs", "open", ("{mark}", "w")),
    ("pathlib", "Path.touch", ("{mark}",)),
    ("shutil", "copy", ("/etc/passwd", "{mark}")),
    ("shutil", "rmtree", ("{mark}",)),
    ("socket", "create_connection", (("127.0.0.1", 9),)),
    ("urllib.request", "urlopen", ("http://127.0.0.1:9/",)),
    ("webbrowser", "open", ("http://127.0.0.1:9/",)),
    ("importlib", "import_module", ("this",)),
    ("runpy", "run_path", ("{mark}",)),
    ("code", "interact", ()),
    ("pty", "spawn", ("/bin/sh",)),
    ("timeit", "timeit", ("open('{mark}', 'w')",)),
    ("cProfile", "run", ("open('{mark}', 'w')",)),
    ("functools", "partial", ("x",)),
    ("operator", "attrgetter", ("__class__",)),
    ("builtins", "getattr", ("x", "__class__")),
    ("types", "FunctionType", ("x",)),
    ("ctypes", "CDLL", ("libc.so.6",)),
    ("pickle", "loads", (b"cos\nsystem\n(S'touch {mark}'\ntR.",)),
    ("_pickle", "loads", (b"cos\nsystem\n(S'touch {mark}'\ntR.",)),
    ("torch", "load", ("{mark}",)),
    ("torch.serialization", "load", ("{mark}",)),
    ("torch.hub", "load", ("a/b", "c")),
    ("torch.hub", "download_url_to_file", ("http://127.0.0.1:9/", "{mark}")),
    ("torch.storage", "_load_from_bytes", (b"cos\nsystem\n(S'touch {mark}'\ntR.",)),
    ("torch.storage", "_load_from_bytes", (b"PK\x03\x04",)),
    ("torch._utils", "_rebuild_tensor_v2", (1, 2, 3)),
    ("torch.jit", "load", ("{mark}",)),
    ("torch.package", "PackageImporter", ("{mark}",)),
    ("numpy", "load", ("{mark}", None, True)),
    ("numpy", "memmap", ("{mark}", "uint8", "w+", 0, 9)),
    ("numpy", "fromfile", ("/etc/passwd",)),
    ("numpy.testing._private.utils", "runstring", ("open('{mark}', 'w')", {})),
    ("edgehr.files", "atomic_write", ("{mark}",)),
    ("edgehr.models.checkpoints.inert", "torch", ("{mark}",)),
    ("builtins", "bytearray", (2**33,)),
)


def _text(value: str) -> bytes:
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _value(value: object, mark: str) -> bytes:
    """Write opcodes that push a value, of protocol 2."""
    if isinstance(value, str):
        return _text(value.replace("{mark}", mark))
    if isinstance(value, bytes):
        return pickle.dumps(value.replace(b"{mark}", mark.encode()), 4)[2:-1]
    if isinstance(value, (list, tuple)):
        inside = b"".join(_value(each, mark) for each in value)
        return b"(" + inside + (b"l" if isinstance(value, list) else b"t")
    return pickle.dumps(value, 2)[2:-1]


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _stack_global(module: str, name: str) -> bytes:
    return _text(module) + _text(name) + b"\x93"


Make = Callable[[str, str, bytes], bytes]
_WEIGHTS = pickle.dumps(np.ones((3, 4), np.float32), 2)[2:-1]
# How a pickle calls what it names; `arguments` pushes a tuple.
WAYS: dict[str, Make] = {
    "REDUCE": lambda module, name, arguments: _global(module, name) + arguments + b"R",
    "STACK_GLOBAL": lambda module, name, arguments: _stack_global(module, name) + arguments + b"R",
    "NEWOBJ": lambda module, name, arguments: _global(module, name) + arguments + b"\x81",
    "NEWOBJ_EX": lambda module, name, arguments: _global(module, name) + arguments + b"}\x92",
    "INST": lambda module, name, arguments: b"(" + _text("x") + f"i{module}\n{name}\n".encode(),
    "OBJ": lambda module, name, arguments: b"(" + _global(module, name) + _text("x") + b"o",
    "BUILD": lambda module, name, arguments: _global(module, name) + arguments + b"b",
    "BUILD of attributes": lambda module, name, arguments: (
        _global(module, name) + b"N}" + _text("evil") + arguments + b"s\x86b"
    ),
    "called twice": lambda module, name, arguments: _global(module, name) + arguments + b"R" + arguments + b"R",
    "in a memo": lambda module, name, arguments: _global(module, name) + b"q\x07" + b"0h\x07" + arguments + b"R",
    "as a storage": lambda module, name, arguments: b"(" + _text("storage") + _global(module, name) + arguments + b"tQ",
    "as a module": lambda module, name, arguments: b"(" + _text("module") + _global(module, name) + arguments + b"tQ",
    "as a key": lambda module, name, arguments: b"}" + _global(module, name) + arguments + b"R" + b"Ns",
    "nested deeply": lambda module, name, arguments: b")" + b"\x85" * 200_000 + b"}" + b"2" + b"\x85Ns",
}


def attack(chance: Random, mark: str) -> tuple[str, bytes]:
    """Make a harmful checkpoint.

    Args:
        chance: What is drawn from.
        mark: A file that code in it would write.

    Returns:
        Its suffix, and the file.
    """
    module, name, arguments = chance.choice(CALLS)
    way = chance.choice(list(WAYS))
    body = WAYS[way](module, name, _value(arguments, mark))
    if chance.random() < 0.5:  # beside weights, so that all of it is read
        body = b"}" + _text("w") + _WEIGHTS + b"s" + _text("evil") + body + b"s"
    body = b"\x80\x02" + body + b"."
    kind = chance.choice(("zip", "legacy", "pickle", "gzip name"))
    if kind == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a/data.pkl", body)
            archive.writestr("a/version", "3\n")
            archive.writestr(f"a/{chance.choice(('byteorder', '.data/serialization_id', 'data/0'))}", "little")
        return ".pth", packed.getvalue()
    if kind == "legacy":
        magic, protocol, system = 0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}
        head = [pickle.dumps(each, 2) for each in (magic, protocol, system)]
        place = chance.randrange(4)
        return ".pth", b"".join([*head[:place], body, *head[place:], pickle.dumps([], 2)])
    return (".pkl" if kind == "pickle" else ".safetensors"), body
