"""A file that is written over a long time and appears when it is whole."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from edgehr.files import atomic_write


class PendingFile:
    """A temporary file beside `path`, which `keep` moves into place and `discard` deletes.

    Attributes:
        temporary: Where to write meanwhile.

    Raises:
        EdgehrError: The folder cannot be written to, or `path` is a folder.
    """

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        (self.temporary,) = self._stack.enter_context(atomic_write(path))

    def keep(self) -> None:
        """Move the file into place."""
        self._stack.close()

    def discard(self) -> None:
        """Delete the file."""
        with suppress(_DiscardedError), self._stack:
            raise _DiscardedError


class _DiscardedError(Exception):
    """Makes `atomic_write` give up without moving anything."""
