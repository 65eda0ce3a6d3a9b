"""Folders that hold what is being written, beside where it belongs, and what becomes of them after a kill.

One that no process holds locked any more was left by a run that was killed, and goes. Where that had begun to move
files that belong together, the rest is moved first.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

SCRATCH = ".edgehr-unfinished-"
# In such a folder, once all in it is whole: the files that are being moved into place together.
_MOVES = ".moves"


def finish_moves(folder: Path) -> None:
    """Finish what a process left that died between moving the first and the last of files that belong together.

    Nothing happens where there is nothing of the kind, a process is still at it, or the folder cannot be written to.
    """
    with suppress(OSError):
        for scratch in folder.glob(f"{SCRATCH}*"):
            if (scratch / _MOVES).is_file():
                _clear(scratch)


def new_scratch(folder: Path, stack: ExitStack) -> Path:
    """Make a folder that the stack removes, and lock it as long as the process lives."""
    while True:
        scratch = folder / f"{SCRATCH}{secrets.token_hex(8)}"
        stack.callback(_empty, scratch)  # before it is there: a signal may come at any time
        scratch.mkdir(0o700)
        lock, _ = try_lock(scratch, wait=True)
        if lock is not None:
            stack.callback(os.close, lock)
        if scratch.is_dir():  # else another run has taken it for a leftover before it was locked
            return scratch


@cache
def remove_leftovers(folder: Path) -> None:
    """Remove the scratch folders of runs that were killed; once for each folder, as it may hold many files."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        _clear(scratch)


def _clear(scratch: Path) -> None:
    """Remove a scratch folder unless a process has it, or nothing tells whether one has."""
    lock = None if scratch.is_symlink() else try_lock(scratch)[0]
    if lock is not None:
        try:
            _empty(scratch)
        finally:
            os.close(lock)


def _empty(scratch: Path) -> None:
    """Remove a scratch folder, also where a signal comes meanwhile."""
    try:
        _finish_and_remove(scratch)
    except BaseException:
        _finish_and_remove(scratch)
        raise


def _finish_and_remove(scratch: Path) -> None:
    """Remove a scratch folder, after moving the rest of its files where some are in place already."""
    with suppress(OSError, ValueError, RecursionError):
        noted = json.loads((scratch / _MOVES).read_bytes())
        # A stranger may have made it: no name leads out of the folder.
        if isinstance(noted, dict) and all(name == Path(name).name for name in noted):
            _make_moves(scratch, noted)
    shutil.rmtree(scratch, ignore_errors=True)


def note_moves(scratch: Path, files: list[Path]) -> None:
    """Note in a scratch folder that these files, whole and in it, are moved into place from now on."""
    noted = scratch / f"{_MOVES}-noted"
    noted.write_text(json.dumps({file.name: _identity(file) for file in files}), encoding="utf-8")
    sync(noted)
    os.replace(noted, scratch / _MOVES)
    sync(scratch)


def _make_moves(scratch: Path, noted: dict[str, Any]) -> None:
    """Move those files into place that still have to be, unless others have come to where the first ones were moved."""
    left = [name for name in noted if (scratch / name).is_file()]
    moved = [name for name in noted if name not in left]
    if left and moved and all(_identity(scratch.parent / name) == noted[name] for name in moved):
        for name in left:
            os.replace(scratch / name, scratch.parent / name)
        sync(scratch.parent)


def _identity(file: Path) -> list[int]:
    """Tell a file from any other that could come to its name; moving keeps this."""
    about = file.stat()
    return [about.st_ino, about.st_mtime_ns, about.st_size]


def try_lock(folder: Path, *, wait: bool = False) -> tuple[int | None, bool]:
    """Lock a folder until the descriptor that is returned is closed, or the process ends in whatever way.

    Args:
        folder: The folder.
        wait: Wait for another process that has it.

    Returns:
        What to close to let it go, and whether another process has it. Nothing is locked where there are no such locks
        (Windows, some network drives), or the folder is gone.
    """
    if sys.platform == "win32":
        return None, False
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None, False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        os.close(descriptor)
        return None, isinstance(error, BlockingIOError)
    return descriptor, False


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no directory sync, and syncs only files that are open for writing
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
