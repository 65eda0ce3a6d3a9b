"""Crews: who does the pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future
from typing import Any

from edgehr.spread.work import Work, WorkerLostError

END_S = 5.0  # how long a worker may take to close what it has open


class Hand(ABC):
    """Stands for a worker, which does one piece at a time.

    Attributes:
        ready: Done once it has opened what it works with; its result says on what. A worker that cannot be started
            raises here.
    """

    ready: Future[str]
    _asked: Future[Any] | None = None

    def submit(self, piece: Any) -> Future[Any]:
        """Do a piece. The future raises what the work raised, or WorkerLostError."""
        self._asked = self._submit(piece)
        return self._asked

    @property
    def idle(self) -> bool:
        """Tell whether it is there, and would hear at once what it is asked for."""
        last = self._asked or self.ready
        return last.done() and not isinstance(last.exception(), WorkerLostError)

    @abstractmethod
    def _submit(self, piece: Any) -> Future[Any]:
        """Do a piece; see `submit`."""

    @abstractmethod
    def dismiss(self) -> None:
        """End it, whatever it is doing."""


class Crew(ABC):
    """Hires workers.

    Attributes:
        size: How many work at once.
        threads: How many an inference has in a worker; None leaves it to the runtime.
        elsewhere: Whether workers may be on other machines: models travel to them, and another may do what one of them
            could not.
    """

    size: int = 1
    threads: int | None = 1
    elsewhere = False

    @abstractmethod
    def hire(self, work: Work[Any, Any]) -> Hand:
        """Start a worker; returns at once."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what all workers need."""
