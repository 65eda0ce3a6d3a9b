"""A cache of results of calibration runs, by all that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, cache_folder
from edgehr.opencv import cv2

_LOG = logging.getLogger("edgehr.calib")

SCHEMA = 1
HEADER = "header"

Arrays = dict[str, NDArray[Any]]


def cached(key: Mapping[str, Any], compute: Callable[[], Arrays], tools: Sequence[str] = ()) -> Arrays:
    """Return arrays that were computed before from the same things, or compute and keep them.

    A file that is damaged, or is not what it should be, counts as missing. Nothing in it is ever executed. Arrays that
    cannot be kept, as on a full disk or without a home folder, are returned all the same, with a warning to Python's
    logging.

    Args:
        key: Everything that the result depends on, in JSON types: SHA-256 of weights, recipe and calibration manifest,
            input size, ...
        compute: Makes the arrays, by name: numbers of any shape, no objects.
        tools: Packages whose versions it depends on, besides edgehr, NumPy and OpenCV.

    Returns:
        The arrays by name.
    """
    crops_by = {"numpy": np.__version__, "opencv": cv2.__version__}  # OpenCV's package goes by several names
    versions = crops_by | {name: version(name) for name in ("edgehr", *tools)}
    full = json.dumps({"schema": SCHEMA, "tools": versions, "key": key}, sort_keys=True)
    try:
        path = _path(full)
    except EdgehrError as error:
        _warn(error)
        return compute()
    arrays = _read(path, full)
    _LOG.info("calibration results %s at %s", "are computed, and kept" if arrays is None else "are known, kept", path)
    if arrays is None:
        arrays = compute()
        _write(path, full, arrays)
    return arrays


def _path(full: str) -> Path:
    """Return the path of the result of a complete key."""
    return cache_folder() / "calibration" / f"{hashlib.sha256(full.encode()).hexdigest()[:32]}.npz"


def _read(path: Path, full: str) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file[HEADER].tobytes().decode())
            if header["for"] != full:
                return None
            return {name: file[f"array{number}"] for number, name in enumerate(header["names"])}
    except Exception:  # NumPy and zipfile raise a dozen types for damaged files
        return None


def _write(path: Path, full: str, arrays: Arrays) -> None:
    if any(array.dtype.hasobject for array in arrays.values()):
        raise TypeError("only arrays of numbers are kept")
    header = np.frombuffer(json.dumps({"for": full, "names": list(arrays)}).encode(), np.uint8)
    # Numbered, because tensors may be called what cannot be a name in an archive.
    numbered: dict[str, Any] = {f"array{number}": array for number, array in enumerate(arrays.values())}
    numbered[HEADER] = header
    try:
        with atomic_write(path) as (temporary,):
            np.savez(temporary, **numbered)
    except (EdgehrError, OSError) as error:
        _warn(error)


def _warn(error: Exception) -> None:
    _LOG.warning("calibration results are not kept for next time: %s", error)
