"""Latency, and what it was taken on. Machines drift, so alternatives are timed in turns and compared within one run."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "tflite": "ai-edge-litert", "tensorrt": "tensorrt"}


@dataclass(frozen=True)
class Latency:
    """Times of one inference, milliseconds an image.

    Attributes:
        p50_ms: Their median.
        p90_ms: What nine in ten stay under.
        rounds: How many were taken.
    """

    p50_ms: float
    p90_ms: float
    rounds: int

    @classmethod
    def of(cls, times: NDArray[np.float64], images: int = 1) -> Latency:
        """Sum up the times, milliseconds, of inferences of so many images each."""
        p50, p90 = np.percentile(times / images, (50, 90))
        return cls(float(p50), float(p90), len(times))


def interleaved(
    alternatives: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 3,
    pause_s: float = 0.0,
    progress: Callable[[], None] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Time alternatives, one after the other in each round.

    Args:
        alternatives: What to call, by name.
        rounds: How often each is timed.
        warm_up: Calls of each before.
        pause_s: Lets thread pools that spin after their work come to rest before the next one is timed.
        progress: Called after each round.

    Returns:
        (rounds,) milliseconds by name.
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
        if progress:
            progress()
    return {name: np.array(values) for name, values in times.items()}


def machine() -> str:
    """Name the processor, its usable cores and the system."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    processor = (names and names[0]) or platform.processor() or "unknown processor"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor}, {cores} cores, {platform.system()} {platform.machine()}"


def runtime_version(backend: str) -> str:
    """Name a backend with the version of its package, if that can be told."""
    try:
        return f"{backend} {version(_PACKAGES[backend])}"
    except (PackageNotFoundError, KeyError):
        return backend
