"""Interleaved timing: machines drift, so alternatives are measured in turns and compared within one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np


def interleaved(
    alternatives: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3, pause_s: float = 0.0
) -> dict[str, np.ndarray]:
    """Time each alternative `rounds` times, one after the other in each round; milliseconds by name.

    `pause_s` lets thread pools that spin after their work come to rest before the next one is timed.
    """
    for call in alternatives.values():
        for _ in range(warm_up):
            call()
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, call in alternatives.items():
            time.sleep(pause_s)
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: np.array(values) for name, values in times.items()}


def report(title: str, times: Mapping[str, np.ndarray], reference: str | None = None) -> None:
    """Print p50 and p90 of each alternative, and its median's ratio to the reference's."""
    print(f"\n{title}")
    for name, values in times.items():
        ratio = f"   x{np.median(values) / np.median(times[reference]):.2f}" if reference else ""
        print(f"  {name:<44} p50 {np.median(values):8.3f} ms   p90 {np.percentile(values, 90):8.3f} ms{ratio}")
