"""Progress of long work: what the work tells, and what shows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


class Progress:
    """What long work tells how far it is. This one tells nobody; those that show it override both methods."""

    def advance(self, steps: int = 1) -> None:
        """Add steps to those done."""

    def update(self, done: int, total: int | None = None) -> None:
        """Set the steps done and, once it is known, how many there are."""


# Opens a progress bar of a label and a number of steps, if that is known.
ProgressBar = Callable[[str, "int | None"], AbstractContextManager[Progress]]


def no_bar(label: str, total: int | None) -> AbstractContextManager[Progress]:
    """Show nothing."""
    return nullcontext(Progress())
