"""What workers do, and how they tell what came of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from edgehr.errors import EdgehrError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Opened(Generic[Piece, Result]):
    """Holds what a worker has opened to do pieces with.

    Attributes:
        do: Does a piece.
        about: What it runs on, in words: results are equal to the bit only where these are.
    """

    do: Callable[[Piece], Result]
    about: str


class Work(Protocol[Piece, Result]):
    """Says what is done with each piece. It travels to every worker by pickle, as pieces and results do."""

    def open(self) -> AbstractContextManager[Opened[Piece, Result]]:
        """Open in a worker what takes longer than a piece should: a model."""


class WorkerLostError(EdgehrError):
    """A worker ended before its piece did: it was killed, its node went, or a library crashed."""


@dataclass(frozen=True)
class Reply:
    """Holds what became of a piece in a worker; what was raised there does not end the worker.

    Attributes:
        value: What the work returned.
        error: What it raised in place of that.
        trace: Where that was raised, as text; empty for an EdgehrError.
    """

    value: Any = None
    error: Exception | None = None
    trace: str = ""

    def unpack(self) -> Any:
        """Return the value, or raise the error with the worker's traceback as its cause."""
        if self.error is None:
            return self.value
        raise self.error from (RuntimeError(f"in a worker:\n{self.trace}") if self.trace else None)


def attempt(do: Callable[[Any], Any], piece: Any) -> Reply:
    """Call `do` with a piece, and note what came of it."""
    try:
        return Reply(do(piece))
    except EdgehrError as error:
        return Reply(error=EdgehrError(str(error)))  # of a class that any version can unpickle
    except Exception as error:
        return Reply(error=RuntimeError(f"{type(error).__name__}: {error}"), trace=traceback.format_exc())


class Server:
    """Opens work in a worker, and does its pieces.

    Args:
        stack: Closes what was opened.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._opened: list[Opened[Any, Any]] = []

    def open(self, work: Work[Any, Any]) -> str:
        """Open the work, and say what it runs on."""
        self._opened.append(self._stack.enter_context(work.open()))
        return self._opened[0].about

    def do(self, piece: Any) -> Any:
        """Do a piece."""
        return self._opened[0].do(piece)
