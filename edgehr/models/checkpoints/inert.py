"""Unpickle without importing or running anything that a file names.

The module stands in for `pickle` in `torch.load(pickle_module=...)`, which wants an `Unpickler` and a `load`. Names of
which tensors are made stand for PyTorch's own functions, which are known to be harmless; every other name, whatever it
is, stands for an inert class that only keeps what it is given.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch

from edgehr.models.checkpoints.inert_arrays import check_state, make_array, make_dtype, make_scalar

# Nobody saves these in a checkpoint but to have them run.
_ATTACKS = ("os", "posix", "nt", "sys", "subprocess", "pty", "runpy", "importlib")
_ATTACKING_BUILTINS = ("eval", "exec", "compile", "open", "__import__")
# Tuples in tuples; each level takes a part of the stack when their hash is computed.
_MAX_DEPTH = 100
_PIECE = 1 << 20
# What tensors say of their class where they are of no special kind.
_PLAIN_TENSORS = ("torch._tensor.Tensor", "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")


class AttackError(pickle.UnpicklingError):
    """A file wants to have something run that no checkpoint needs; the message is its name."""


class _Sealed(type):
    """Classes that pickles cannot change: a pickle may set attributes of whatever it names."""

    origin: str

    def __setattr__(cls, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f"a pickle must not change {cls.__name__}")


class StandIn(metaclass=_Sealed):
    """An object of a class, or the result of a function, that was not imported.

    Attributes:
        origin: What the file calls it, module and name.
        arguments: What it was made from.
        state: What it was to be filled with, mostly a dictionary of its attributes.
        entries: Items of a dictionary, by key, or those of a list or set, by place.
    """

    __slots__ = ("arguments", "entries", "state")
    origin: ClassVar[str] = ""
    arguments: tuple[Any, ...]
    state: Any
    entries: dict[Any, Any]

    def __new__(cls, *arguments: Any, **more: Any) -> StandIn:
        """Keep what it is made from."""
        made = object.__new__(cls)
        made.arguments, made.state, made.entries = (*arguments, *more.values()), None, {}
        return made

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Do nothing: `__new__`, which pickles may call alone, has kept the arguments."""

    def __call__(self, *arguments: Any) -> StandIn:
        """Stand in for the result too."""
        return type(self)(*arguments)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def append(self, value: Any) -> None:
        """Keep an item, of a list or a set."""
        self.entries[len(self.entries)] = value

    add = append


class _Function(metaclass=_Sealed):
    """A function that pickles can call and not change."""

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __setattr__(self, name: str, value: object) -> None:
        raise pickle.UnpicklingError("a pickle must not change functions")

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


def _rebuild_of_type(function: Any, kind: Any, arguments: tuple[Any, ...], state: Any) -> Any:
    """Rebuild a tensor with attributes or of a subclass; a foreign subclass may mean other values than it keeps."""
    if isinstance(function, _Function) and getattr(kind, "origin", None) in _PLAIN_TENSORS:
        return function(*arguments)
    return kind(*arguments)


def _load_storage(content: bytes) -> Any:
    """Load the storage of a tensor that `pickle` alone has written."""
    if not content.startswith(b"\x80"):  # PyTorch would take an archive for a program and load that
        raise pickle.UnpicklingError("a tensor's storage is of an unknown kind")
    return load_torch(io.BytesIO(content))


def _bytearray(content: Any = b"", *encoding: str) -> bytearray:
    """Make one, but not of a number, of which it would have that many bytes."""
    if isinstance(content, int):
        raise pickle.UnpicklingError("a bytearray of a number")
    return bytearray(content, *encoding)


def _allowed() -> dict[str, Any]:
    """List what stands for itself: the functions that PyTorch's weights-only unpickler allows, and NumPy's arrays."""
    array, scalar = _Function(make_array), _Function(make_scalar)
    rebuilding = (
        *("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_sparse_tensor", "_rebuild_qtensor"),
        *("_rebuild_meta_tensor_no_storage", "_rebuild_nested_tensor", "_rebuild_device_tensor_from_cpu_tensor"),
    )
    schemes = ("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric")
    dtypes = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
    # Parameters become tensors: nothing is trained here.
    data_alone = _Function(lambda data, *_: data)
    return {
        **{f"torch.{name}": value for name, value in dtypes.items()},
        **{f"torch.{name}": getattr(torch, name) for name in (*schemes, "per_channel_affine_float_qparams")},
        **{f"torch._utils.{name}": _Function(getattr(torch._utils, name)) for name in rebuilding},
        "torch._utils._rebuild_device_tensor_from_numpy": _Function(lambda data, *_: torch.from_numpy(data)),
        "torch._utils._rebuild_parameter": data_alone,
        "torch._utils._rebuild_parameter_with_state": data_alone,
        "torch._tensor._rebuild_from_type_v2": _Function(_rebuild_of_type),
        "torch.serialization._get_layout": _Function(torch.serialization._get_layout),
        "torch.storage._load_from_bytes": _Function(_load_storage),
        "torch.Size": torch.Size,
        "torch.device": torch.device,
        "collections.OrderedDict": OrderedDict,
        **{f"builtins.{kind.__name__}": kind for kind in (set, frozenset, complex, dict, list)},
        "builtins.bytearray": _Function(_bytearray),
        "builtins.bytes": _Function(lambda content=b"": bytes(_bytearray(content))),
        "builtins.tuple": _Function(lambda items=(): _shallow(tuple(items))),
        "_codecs.encode": _Function(lambda text, encoding="utf-8": str(text).encode(str(encoding))),
        # NumPy 1 and 2 name the same functions differently.
        **{f"numpy.{core}.multiarray._reconstruct": array for core in ("core", "_core")},
        **{f"numpy.{core}.multiarray.scalar": scalar for core in ("core", "_core")},
        "numpy.dtype": _Function(make_dtype),
    }


_ALLOWED = _allowed()


class _Bounded:
    """A file that gives what is asked for, or raises EOFError, and spends no more memory than there is to read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.readline = file.readline

    def read(self, size: int) -> bytes:
        """Read so many bytes."""
        pieces = []
        while size > 0:
            pieces.append(self._file.read(min(size, _PIECE)))
            if not pieces[-1]:
                raise EOFError("it ends in the middle")
            size -= len(pieces[-1])
        return b"".join(pieces)


def _shallow(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a tuple that is not nested too deeply: its hash would end the process."""
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [item for each in level for item in each if isinstance(item, tuple)]
        if not level:
            return value
    raise pickle.UnpicklingError("tuples are nested too deeply")


class Unpickler(pickle._Unpickler):
    """Reads pickles of any protocol; raises AttackError, and UnpicklingError for broken ones.

    It is Python's own one in Python: that in C makes room for any number of an object that a damaged file asks for.
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    # Of its base, which typeshed does not know: the stack, and what pushes onto it and reads.
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(_Bounded(file), **options)

    def _load_bytearray8(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray8

    def _load_build(self, load: Callable[[Any], None]) -> None:
        if len(self.stack) > 1:
            check_state(*self.stack[-2:])
        load(self)

    def _load_tuple(self, load: Callable[[Any], None]) -> None:
        load(self)
        _shallow(self.stack[-1])

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for: itself where that is harmless, else a class of inert objects."""
        module = {"__builtin__": "builtins", "torch.tensor": "torch._tensor"}.get(module, module)
        origin = f"{module}.{name}"
        if module.split(".")[0] in _ATTACKS or (module == "builtins" and name in _ATTACKING_BUILTINS):
            raise AttackError(origin)
        return _ALLOWED[origin] if origin in _ALLOWED else _Sealed("StandIn", (StandIn,), {"origin": origin})

    def __setattr__(self, name: str, value: Any) -> None:
        # torch.load sets this. It would look for the source of classes, and be given PyTorch's own, which pickles
        # could change.
        if name == "persistent_load":
            super().__setattr__(name, lambda identifier: _persistent_load(value, identifier))
        else:
            super().__setattr__(name, value)


Unpickler.dispatch[pickle.BUILD[0]] = partial(Unpickler._load_build, load=Unpickler.dispatch[pickle.BUILD[0]])
for _opcode in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    Unpickler.dispatch[_opcode[0]] = partial(Unpickler._load_tuple, load=Unpickler.dispatch[_opcode[0]])


def _persistent_load(load_storage: Callable[[Any], Any], identifier: Any) -> Any:
    if isinstance(identifier, tuple) and identifier and identifier[0] in ("module", b"module"):
        return identifier[1]  # files from before PyTorch 1.6 have a class's source with it
    if isinstance(identifier, tuple) and len(identifier) > 1:
        kind = identifier[1]
        if isinstance(kind, _Sealed) and kind.origin == "torch.storage.UntypedStorage":
            identifier = (identifier[0], torch.UntypedStorage, *identifier[2:])
    return load_storage(identifier)


def load(file: Any, **options: Any) -> Any:
    """Unpickle an open file."""
    return Unpickler(file, **options).load()


def load_torch(file: Any) -> Any:
    """Load what `torch.save` wrote before PyTorch 1.6 from an open file, with every tensor on the CPU.

    Raises:
        Exception: Of a dozen types, where the file is broken or foreign; AttackError where it is meant to harm.
    """
    # Python 2 wrote bytes where strings are meant; in Latin-1 all of them can be read.
    return torch.load(
        file, map_location="cpu", pickle_module=sys.modules[__name__], weights_only=False, encoding="latin1"
    )
