"""NumPy's arrays in pickles, checked before NumPy sees them: its native code takes a pickle's word, and crashes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

MAX_DIMENSIONS = 32
_PLAIN_TYPE = re.compile(r"[<>|=]?[?a-zA-Z]\d{0,9}")
_RECONSTRUCT: Any = np.zeros(1).__reduce__()[0]
_SCALAR: Any = np.float64(0).__reduce__()[0]


def make_array(kind: Any, *arguments: Any) -> Any:
    """Stand in for `_reconstruct`: an empty array, which its state fills; of a subclass, an inert object."""
    if getattr(kind, "origin", None) != "numpy.ndarray":
        return kind(*arguments)
    return _RECONSTRUCT(np.ndarray, (0,), b"b")


def make_dtype(name: Any, *_: Any) -> np.dtype[Any]:
    """Make a dtype, always a new one: the state that follows must not change NumPy's own."""
    if not isinstance(name, str) or not _PLAIN_TYPE.fullmatch(name):
        raise pickle.UnpicklingError("an array is of a type that no weights have")
    return np.dtype(name, align=False, copy=True)


def make_scalar(dtype: Any, content: Any = b"") -> Any:
    """Make a number of its bytes."""
    if not isinstance(dtype, np.dtype) or not (dtype.hasobject or _holds(content, dtype.itemsize)):
        raise pickle.UnpicklingError("a NumPy number is damaged")
    return _SCALAR(dtype, content)


def check_state(made: Any, state: Any) -> None:
    """Raise UnpicklingError where an array or a dtype is to be filled with what is none of its kind."""
    fits: Callable[[Any, Any], bool] | None = None
    if isinstance(made, np.ndarray):
        fits = _fits_array
    elif isinstance(made, np.dtype):
        fits = _fits_dtype
    if fits is not None and not (isinstance(state, tuple) and fits(made, state)):
        kind = "array" if isinstance(made, np.ndarray) else "dtype"
        raise pickle.UnpicklingError(f"a NumPy {kind} is damaged, or of a kind that no weights have")


def _fits_array(_: Any, state: tuple[Any, ...]) -> bool:
    """Tell whether a state is (version, shape, dtype, whether in Fortran's order, content)."""
    if len(state) != 5:
        return False
    version, shape, dtype, is_fortran, content = state
    if not (isinstance(version, int) and isinstance(is_fortran, int) and isinstance(dtype, np.dtype)):
        return False
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        return False
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        return False
    if dtype.hasobject:
        return isinstance(content, list) and len(content) == prod(shape)
    return _holds(content, prod(shape) * dtype.itemsize)


def _fits_dtype(made: np.dtype[Any], state: tuple[Any, ...]) -> bool:
    """Tell whether a state only says the order of bytes: (version, order, no parts, sizes and flags as they are)."""
    if len(state) != 8:
        return False
    version, order, *parts, size, alignment, flags = state
    return (
        isinstance(version, int)
        and order in ("<", ">", "|", "=")
        and parts == [None] * 3
        and size in (-1, made.itemsize)
        and alignment in (-1, made.alignment)
        and flags == made.flags
    )


def _holds(content: Any, size: int) -> bool:
    """Tell whether content is so many bytes, or letters of Latin-1 as Python 2 wrote them."""
    return isinstance(content, (bytes, str)) and len(content) == size
