"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.unfinished import new_scratch, note_moves, remove_leftovers, sync, try_lock

CACHE_VARIABLE = "EDGEHR_CACHE"
CACHE_ADVICE = f"set {CACHE_VARIABLE} to a folder that can be written to"
# How files begin that are there in place of a model, and what to do about each.
_FOREIGN_TEXT = (
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull` in its repository"),
    (rb"\s*<(!doctype html|html|head|body)", "a web page, saved in place of the file: download it from its own link"),
    (rb"(<\?xml[^>]*>)?\s*<Error>", "a server's error message, saved in place of the file: download it again"),
    (rb"\s*\{\s*\"(error|message|detail)\"", "a server's error message, saved in place of the file: download it again"),
)
_FOREIGN = (
    (rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a compressed archive: unpack it"),
    (rb"\x89HDF\r\n", "an HDF5 file, as Keras writes"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|%PDF", "a picture or a document"),
)


def cache_folder() -> Path:
    """Find where to keep what can be made or fetched again: `EDGEHR_CACHE`, else `edgehr` in the XDG cache folder.

    Raises:
        EdgehrError: That is in the home folder of a user who has none.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    try:
        if chosen:
            return Path(chosen).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgehr"
    except RuntimeError:  # pathlib's, of a user whom the system does not know, as in `docker run --user 12345`
        raise EdgehrError(f"there is no home folder to keep files in: {CACHE_ADVICE}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark, as programs on Windows write it.

    Raises:
        EdgehrError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise EdgehrError(f"{path}: cannot read it: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise EdgehrError(f"{path}: not JSON: {error}") from None


def foreign_kind(path: Path, *, numbers: bool = False) -> str | None:
    """Tell what a file is that stands in place of a model, and what to do about it; None where it may be one.

    Args:
        path: The file.
        numbers: It is to hold bare numbers, which may begin with any bytes, or none, but hardly with text.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        begins = file.read(200).removeprefix(b"\xef\xbb\xbf")
    if numbers:
        return next((what for pattern, what in _FOREIGN_TEXT if re.match(pattern, begins, re.IGNORECASE)), None)
    if not begins:
        return "the file is empty: get it again"
    if not begins.strip(b"\0"):
        return "begins with nothing but zeros, as a download does that was broken off: get it again"
    kinds = (*_FOREIGN_TEXT, *_FOREIGN)
    return next((what for pattern, what in kinds if re.match(pattern, begins, re.IGNORECASE)), None)


def sha256_file(path: Path) -> str:
    """Compute the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def plain_name(path: Path) -> Iterator[str]:
    """Give a file, there already or not, a name by which any library opens it, as long as the block runs.

    It is absolute: a relative one, such as ``2024-01-01T12:30:05.mp4``, may be taken for an address. Where it is not
    UTF-8, for which OpenCV kills the process, it is that of a link.

    Raises:
        EdgehrError: It is not UTF-8, and no link can be made.
    """
    name = os.path.abspath(path)
    if is_utf8(name):
        yield name
        return
    with temporary_folder() as folder:
        link = folder / f"file{path.suffix if path.suffix.isascii() else ''}"
        try:
            link.symlink_to(name)
        except OSError as error:
            raise EdgehrError(f"{path}: its name is not UTF-8, and no link can be made to it: {error}") from None
        yield str(link)


def is_utf8(name: str) -> bool:
    """Tell whether a file's name is UTF-8; Python keeps the bytes of another one as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_writable(*paths: Path) -> None:
    """Make sure early that files can be put at `paths` later.

    Raises:
        EdgehrError: Their folder cannot be made or written to, or one of the names is that of a folder.
    """
    with _scratch_folder(*paths):
        pass


@contextmanager
def atomic_write(*paths: Path) -> Iterator[list[Path]]:
    """Give temporary files beside `paths` to write to, and move them into place when the block ends without an error.

    The files are moved in the order given, each after it was synced to disk. On an error the temporary files go and
    what stood there before stays. Where the process dies between the first move and the last, whoever next writes to
    the folder, or opens a model in it, makes the rest (`edgehr.unfinished`).

    Args:
        paths: Final names, all in one folder, which is made if it does not exist.

    Raises:
        EdgehrError: The folder cannot be written to, or a final name is that of a folder.
    """
    with _scratch_folder(*paths) as scratch:
        # The final names, in a folder of their own: some libraries derive the names of further files from the first.
        temporary = [scratch / path.name for path in paths]
        yield temporary
        for source in temporary:
            sync(source)
        if len(paths) > 1:
            note_moves(scratch, temporary)
        for source, target in zip(temporary, paths, strict=True):
            os.replace(source, target)
        sync(paths[0].parent)


@contextmanager
def only_one(folder: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Let one process at a time do what the block does in a folder.

    Where the system or a network drive has no such locks, nothing is locked.

    Args:
        folder: It must be there.
        patience_s: How long to wait for another process.

    Raises:
        EdgehrError: Another one is still at it.
    """
    end = time.monotonic() + patience_s
    while True:
        lock, taken = try_lock(folder)
        if not taken:
            break
        if time.monotonic() > end:
            raise EdgehrError(f"{folder}: another process of edgehr is at work there")
        time.sleep(0.1)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and move it to `path` when the block ends without an error.

    Nothing that is there is ever replaced. On an error, and after a kill, nothing is there.

    Args:
        path: Its final name; the folder above it is made if it does not exist.

    Raises:
        EdgehrError: There is something of that name, or the folder above cannot be written to.
    """
    with _scratch_folder(path) as scratch:
        folder = scratch / path.name
        folder.mkdir()
        yield folder
        for file in folder.iterdir():
            sync(file)
        sync(folder)
        try:
            os.rename(folder, path)  # of folders, it replaces none that holds anything
        except OSError as error:
            raise EdgehrError(f"{path}: cannot be made: {error.strerror}") from None
        sync(path.parent)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder among the system's temporary ones that goes when the block ends, or with the next after a kill."""
    base = Path(tempfile.gettempdir())
    remove_leftovers(base)
    with ExitStack() as stack:
        yield new_scratch(base, stack)


@contextmanager
def _scratch_folder(*paths: Path) -> Iterator[Path]:
    """Return a folder beside `paths` that goes when the block ends."""
    folder = paths[0].parent
    for path in paths:
        if path.is_dir():
            raise EdgehrError(f"{path}: is a folder; choose another name")
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder.resolve())
            scratch = new_scratch(folder, stack)
        except OSError as error:
            raise EdgehrError(f"cannot write to {folder}: {error.strerror or error}") from None
        yield scratch
