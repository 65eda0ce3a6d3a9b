"""How many copies of a model a server had better run, and how many requests it had better put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgehr.benchmark.candidates import Candidate, Opened, feed
from edgehr.benchmark.throughput import WINDOW_S, measure_throughput
from edgehr.benchmark.timing import PAUSE_S, interleaved, warm_up
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.streams import usable_cores

BATCHES = (1, 2, 4, 8)
# More images a second by less than this are not worth a larger batch, which makes each of them wait, or another copy.
WORTH = 1.03


@dataclass(frozen=True)
class Arrangement:
    """Says how a server runs a model.

    Attributes:
        instances: Copies of it that run side by side.
        threads: Of each; None for as many as its runtime chooses.
        batch: How many images are put together; 1 for none.
        measured: The figures that this was chosen by, a line each; empty where it was not measured.
    """

    instances: int = 1
    threads: int | None = None
    batch: int = 1
    measured: tuple[str, ...] = ()


def arrange(path: Path, seconds: float, *, batches: bool) -> Arrangement:
    """Measure on the CPU of this machine what brings most images a second through.

    Args:
        path: The model's file.
        seconds: About how long to measure.
        batches: Try batches, too.

    Raises:
        EdgehrError: It cannot be opened, fed or run.
    """
    with load(path) as runtime:
        fed = feed(runtime, {})
        call_ms = {"model": warm_up(fed.call).call_ms}
        streams = sorted({1, usable_cores(), *(count for count in (2, 4, 8) if count < usable_cores())})
        trials = len(streams) + (len(BATCHES) if batches else 0)
        rounds = max(3, int(seconds / trials / (WINDOW_S + PAUSE_S)))
        found = measure_throughput([Opened("model", Candidate(path), runtime, fed)], call_ms, streams, rounds)["model"]
        rates = {each.streams: each.images_per_s for each in found}
        instances = _least(rates)
        lines = [f"{count} at once: {rate:.1f} images a second" for count, rate in rates.items()]
        batch = 1
        if batches:
            by_batch = _rates_of_batches(runtime, rounds)
            batch = _least(by_batch)
            lines += [f"batch {size}: {rate:.1f} images a second" for size, rate in by_batch.items()]
    return Arrangement(instances, 1 if instances > 1 else None, batch, tuple(lines))


def _least(rates: dict[int, float]) -> int:
    """Return the smallest number that brings as much as the best one, or nearly."""
    best = max(rates.values())
    return min(number for number, rate in rates.items() if rate * WORTH >= best)


def _rates_of_batches(runtime: Runtime, rounds: int) -> dict[int, float]:
    inputs = feed(runtime, {}).inputs
    batches = {size: {name: np.repeat(array[:1], size, axis=0) for name, array in inputs.items()} for size in BATCHES}
    calls = {str(size): lambda each=each: runtime.infer(each) for size, each in batches.items()}
    times = interleaved(calls, 2 * rounds, 1, PAUSE_S)
    return {size: 1000 * size / float(np.median(times[str(size)])) for size in BATCHES}
