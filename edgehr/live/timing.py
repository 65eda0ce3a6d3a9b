"""Times of the stages of a stream, over the last seconds."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

WINDOW_S = 5.0


class StageTimes:
    """Latency of named stages over a sliding window; safe to use from several threads.

    Args:
        window_s: Length of the window, seconds.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._lock = threading.Lock()
        self._times: dict[str, deque[tuple[float, float]]] = {}
        self._frames: deque[float] = deque()

    def add(self, stage: str, milliseconds: float) -> None:
        """Note that a stage took so long."""
        now = time.monotonic()
        with self._lock:
            times = self._times.setdefault(stage, deque())
            times.append((now, milliseconds))
            while times[0][0] < now - self._window_s:
                times.popleft()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Note how long the block takes."""
        started = time.perf_counter()
        yield
        self.add(stage, 1000 * (time.perf_counter() - started))

    def count_frame(self) -> None:
        """Count a frame that went all the way, for the rate of frames."""
        now = time.monotonic()
        with self._lock:
            self._frames.append(now)
            while self._frames[0] < now - self._window_s:
                self._frames.popleft()

    @property
    def fps(self) -> float:
        """Compute the rate of frames that went all the way, a second; 0 before the second one."""
        with self._lock:
            if len(self._frames) < 2:
                return 0.0
            return (len(self._frames) - 1) / max(self._frames[-1] - self._frames[0], 1e-6)

    def summary(self) -> dict[str, dict[str, float]]:
        """Compute the median and 95th percentile of each stage, milliseconds: ``{stage: {"p50": ..., "p95": ...}}``."""
        with self._lock:
            values = {stage: [value for _, value in times] for stage, times in self._times.items() if times}
        summary = {}
        for stage, times in values.items():
            p50, p95 = np.percentile(times, [50, 95])
            summary[stage] = {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}
        return summary
