"""Estimate how long a search will take yet, by how long its steps took so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds of each kind of step, until one of it was seen: of a W18 at 256x192 on two cores.
GUESSES = {"convert": 25.0, "quantize": 180.0, "race": 20.0, "evaluate": 30.0, "final": 60.0}


class TimeLeft:
    """Counts the steps that may still come, and remembers what those of their kind took."""

    def __init__(self) -> None:
        self.coming = dict.fromkeys(GUESSES, 0)
        self._taken: dict[str, list[float]] = {kind: [] for kind in GUESSES}

    @contextmanager
    def step(self, kind: str) -> Iterator[None]:
        """Time a step that really has to be done."""
        started = time.monotonic()
        yield
        self._taken[kind].append(time.monotonic() - started)

    def skip(self, *kinds: str) -> None:
        """Take a step of each kind off: it is done, or not needed."""
        for kind in kinds:
            self.coming[kind] -= 1

    def __str__(self) -> str:
        seconds = sum(count * self._mean(kind) for kind, count in self.coming.items())
        if seconds < 90:
            return f"at most {seconds:.0f} s left"
        return f"at most {seconds / 60:.0f} min left"

    def _mean(self, kind: str) -> float:
        taken = self._taken[kind]
        return sum(taken) / len(taken) if taken else GUESSES[kind]
