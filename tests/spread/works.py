"""Work for workers that have nothing to install."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.spread import Opened


@dataclass(frozen=True)
class Squares:
    """Squares numbers. A worker kills itself over those that are `deadly`, so many times each."""

    folder: Path
    deadly: tuple[int, ...] = ()
    times: int = 1
    refused: tuple[int, ...] = ()
    opens: bool = True

    @contextmanager
    def open(self) -> Iterator[Opened[int, int]]:
        if not self.opens:
            raise EdgehrError("the model is not there")
        yield Opened(self.square, "paper")
        (self.folder / f"closed-{os.getpid()}").touch()

    def square(self, number: int) -> int:
        (self.folder / f"worker-{os.getpid()}").touch()
        died = len([*self.folder.glob(f"died-{number}-*")])
        if number in self.deadly and died < self.times:
            (self.folder / f"died-{number}-{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number in self.refused:
            raise EdgehrError(f"{number} cannot be squared")
        if number < 0:
            raise ValueError("a bug")
        return number * number


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
