"""Count images a second with several inferences under way at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from edgehr.benchmark.candidates import Opened
from edgehr.benchmark.timing import PAUSE_S, interleaved
from edgehr.progress import ProgressBar, no_bar

WINDOW_S = 0.2


@dataclass(frozen=True)
class Throughput:
    """Tells how many images a second go through with several inferences under way.

    Attributes:
        streams: How many.
        images_per_s: Images a second, the median of windows of a part of a second.
        low: What nine in ten windows were above.
    """

    streams: int
    images_per_s: float
    low: float


def measure_throughput(
    opened: Sequence[Opened],
    call_ms: Mapping[str, float],
    streams: Sequence[int],
    rounds: int,
    seed: int = 0,
    bar: ProgressBar = no_bar,
) -> dict[str, tuple[Throughput, ...]]:
    """Time windows of inferences, of all candidates and numbers of streams in turns.

    Args:
        opened: The candidates.
        call_ms: About how many milliseconds an inference takes, by name.
        streams: Numbers of inferences under way at once.
        rounds: Windows of each.
        seed: Of the order of turns.
        bar: Shows progress.

    Returns:
        Of each candidate by name, in the order of `streams`.
    """
    if not streams:
        return {}
    calls: dict[str, Callable[[], object]] = {}
    images: dict[str, int] = {}
    with ExitStack() as stack:
        for each in opened:
            for count in streams:
                pool = stack.enter_context(ThreadPoolExecutor(count, "edgehr-bench"))
                inferences = count * max(1, math.ceil(1000 * WINDOW_S / call_ms[each.name] / count))
                calls[f"{each.name} {count}"] = _window(pool, _streamed(each, count), inferences)
                images[f"{each.name} {count}"] = inferences * each.feed.images
        with bar("counting", rounds) as progress:
            times = interleaved(calls, rounds, 1, PAUSE_S, progress.advance, seed=seed)
    rates = {name: 1000 * images[name] / each for name, each in times.items()}
    return {each.name: tuple(_summed_up(rates[f"{each.name} {count}"], count) for count in streams) for each in opened}


def _window(pool: ThreadPoolExecutor, call: Callable[[int], object], inferences: int) -> Callable[[], object]:
    def window() -> None:
        for _ in pool.map(call, range(inferences)):
            pass

    return window


def _streamed(each: Opened, count: int) -> Callable[[int], object]:
    """Return what several threads call with the number of an inference."""
    if each.runtime.parts:  # with work of the task between its graphs
        return lambda _: each.feed.call()
    infer = each.runtime.open_streams(count)
    return lambda _: infer(each.feed.inputs)


def _summed_up(rates: np.ndarray, count: int) -> Throughput:
    return Throughput(count, float(np.median(rates)), float(np.percentile(rates, 10)))
