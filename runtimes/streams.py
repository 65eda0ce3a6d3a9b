"""Several inputs at once on a CPU: a model on one thread each, side by side.

A small network gains little from a second thread: at each of its hundreds of operators the threads wait for one
another, and where another program takes a core they wait long. Inputs that come together need no such waiting.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from edgehr.errors import EdgehrError

_LOG = logging.getLogger("edgehr.runtimes")

Inputs = Mapping[str, NDArray[Any]]
Infer = Callable[[Inputs], dict[str, NDArray[Any]]]

# Each has activations and, in some libraries, weights of its own.
MAX_STREAMS = 8
# Opening takes as long as loading the model, which a few inputs are not worth.
OPENED_AT_CALL = 2
# Every so many calls the way that was slower is tried again: the machine may have got busy, or idle.
TRIED_AGAIN_AFTER = 30
_WEIGHT = 0.5  # of the newest time in what is known of earlier ones


class Streams:
    """One-thread copies of a model, opened in the background once several inputs have come together more than once.

    Whether they or the whole model are faster depends on the network, the cores and how many inputs there are: both are
    timed, and the times decide. The results are the same.

    Args:
        open_streams: Opens so many copies, and returns what runs one input on whichever is free, from several threads.
        count: How many there may be; 1 for none.
        name: What its threads are called.
    """

    def __init__(self, open_streams: Callable[[int], Infer], count: int, name: str) -> None:
        self._open, self._name = open_streams, name
        self.set_count(count)
        self._calls = 0
        self._opening: threading.Thread | None = None
        self._opened: tuple[ThreadPoolExecutor, Infer] | None = None
        self._whole_s: float | None = None  # of one input, where the whole model takes them all
        self._stream_s: float | None = None  # of one input in a stream
        self._lock = threading.Lock()

    def set_count(self, count: int) -> None:
        """Set how many there may be, before any is opened."""
        self.count = min(count, MAX_STREAMS)

    def pay(self, inputs: int, example: Inputs) -> bool:
        """Tell whether they are open and faster for so many inputs; opens them where they might be, with an example."""
        if inputs < 2 or self.count < 2:
            return False
        with self._lock:
            self._calls += 1
            if self._calls == OPENED_AT_CALL:
                self._opening = threading.Thread(target=self._open_all, args=[example], name=f"{self._name}-open")
                self._opening.start()
            if self._opened is None:
                return False
            if self._stream_s is None or self._whole_s is None:
                return True
            faster = math.ceil(inputs / self.count) * self._stream_s < inputs * self._whole_s
            return faster != (self._calls % TRIED_AGAIN_AFTER == 0)

    def run(self, inputs: Sequence[Inputs]) -> list[dict[str, NDArray[Any]]]:
        """Run all inputs; returns their outputs in the same order."""
        if self._opened is None:
            raise EdgehrError("the streams are not open")
        pool, infer = self._opened
        started = time.perf_counter()
        outputs = list(pool.map(infer, inputs))
        taken = (time.perf_counter() - started) / math.ceil(len(inputs) / self.count)
        with self._lock:
            self._stream_s = _smoothed(self._stream_s, taken)
        return outputs

    def note_whole(self, inputs: int, seconds: float) -> None:
        """Remember how long the whole model took for so many inputs."""
        if inputs > 1:
            with self._lock:
                self._whole_s = _smoothed(self._whole_s, seconds / inputs)

    def wait(self) -> None:
        """Wait for what is being opened."""
        if self._opening is not None:
            self._opening.join()

    def close(self) -> None:
        """Release them, and wait for what is being opened."""
        self.wait()
        if self._opened is not None:
            self._opened[0].shutdown(wait=True)
        self._opened = None

    def _open_all(self, example: Inputs) -> None:
        pool = ThreadPoolExecutor(self.count, self._name)
        try:
            infer = self._open(self.count)
            list(pool.map(infer, [example] * self.count))  # the first inference takes longer
        except Exception as error:  # for want of memory, say: the whole model does it alone
            pool.shutdown()
            _LOG.info("%s: no copies of the model on one thread each: %s", self._name, error)
            return
        _LOG.debug("%s: opened %d copies of the model on one thread each", self._name, self.count)
        with self._lock:
            self._opened = pool, infer


def usable_cores() -> int:
    """Count the cores that this process may use: threads that have to share one hardly get on, as each waits awake."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _smoothed(before: float | None, newest: float) -> float:
    return newest if before is None else (1 - _WEIGHT) * before + _WEIGHT * newest
