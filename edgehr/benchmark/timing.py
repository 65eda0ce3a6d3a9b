"""Time calls. Machines drift, so alternatives take turns and are compared within one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]

# Enough that the clock, and one interruption, do not make the median of a turn.
TURN_S = 0.05
MOST_CALLS = 50
PAUSE_S = 0.01  # before a turn: thread pools that spin after their work come to rest
MIN_ROUNDS, MOST_ROUNDS = 24, 5000
# A warm-up has come to rest where the medians of its last two windows are this close.
STEADY = 0.05
_WINDOW = 5


@dataclass(frozen=True)
class Latency:
    """Sums up the times of an inference, milliseconds an image.

    Attributes:
        p50_ms: Their median.
        p90_ms: What nine in ten stay under.
        p99_ms: What 99 in a hundred stay under; with fewer than a hundred, near the slowest.
        inferences: How many were timed.
    """

    p50_ms: float
    p90_ms: float
    p99_ms: float
    inferences: int

    @classmethod
    def of(cls, times: NDArray[np.float64], images: int = 1) -> Latency:
        """Sum up the times, milliseconds, of inferences of so many images each."""
        p50, p90, p99 = np.percentile(times / images, (50, 90, 99))
        return cls(float(p50), float(p90), float(p99), times.size)


@dataclass(frozen=True)
class WarmUp:
    """Tells how a call came to speed.

    Attributes:
        calls: How many there were.
        seconds: How long they took together.
        call_ms: The median of the last ones.
        steady: Whether they had come to rest when the warm-up ended.
    """

    calls: int
    seconds: float
    call_ms: float
    steady: bool


def warm_up(call: Call, limit_s: float = 3.0, clock: Callable[[], float] = time.perf_counter) -> WarmUp:
    """Call until times do not change any more: the median of five calls is within 5 % of that of the five before.

    Args:
        call: What to call.
        limit_s: Seconds after which it ends all the same, after two calls at least.
        clock: Tells seconds.
    """
    times: list[float] = []
    started = now = clock()
    steady = False
    while not steady and (now - started < limit_s or len(times) < 2):
        call()
        before, now = now, clock()
        times.append(now - before)
        if len(times) >= 2 * _WINDOW:
            earlier, latest = np.median(times[-2 * _WINDOW : -_WINDOW]), np.median(times[-_WINDOW:])
            steady = bool(abs(latest - earlier) <= STEADY * earlier)
    return WarmUp(len(times), now - started, 1000 * float(np.median(times[-_WINDOW:])), steady)


def calls_a_turn(call_ms: float) -> int:
    """Say how many calls of so many milliseconds make a turn."""
    return int(np.clip(round(1000 * TURN_S / max(call_ms, 1e-6)), 1, MOST_CALLS))


def rounds_for(seconds: float, call_ms: Mapping[str, float], pause_s: float) -> int:
    """Say how many rounds of alternatives fit into so many seconds for each, 24 at least: no test says much of fewer.

    Args:
        seconds: For each alternative.
        call_ms: Milliseconds of a call by alternative.
        pause_s: As `interleaved` takes it.
    """
    turns = (pause_s + each / 1000 * (1 + calls_a_turn(each)) for each in call_ms.values())
    return int(np.clip(seconds * len(call_ms) / max(sum(turns), 1e-9), MIN_ROUNDS, MOST_ROUNDS))


def interleaved(
    alternatives: Mapping[str, Call],
    rounds: int,
    warm_up: int = 3,
    pause_s: float = 0.0,
    progress: Callable[[], None] | None = None,
    *,
    calls: Mapping[str, int] | None = None,
    lead: int = 0,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, NDArray[np.float64]]:
    """Time alternatives in turns, in a new random order in each round.

    What slows the machine down for longer than a round meets all of them; the random order keeps what has a rhythm, and
    what one alternative leaves behind in caches, from always meeting the same one.

    Args:
        alternatives: What to call, by name.
        rounds: How many turns each has.
        warm_up: Calls of each before.
        pause_s: Before each turn: thread pools that spin after their work come to rest.
        progress: Called after each round.
        calls: Timed calls a turn by name; one each by default.
        lead: Calls at the beginning of each turn that are not timed: they fill the caches that the others have emptied.
        seed: Of the order.
        clock: Tells seconds.

    Returns:
        (rounds, calls) milliseconds by name.
    """
    for call in alternatives.values():
        for _ in range(warm_up):
            call()
    order = np.random.default_rng(seed)
    names = list(alternatives)
    times = {name: np.zeros((rounds, calls[name] if calls else 1)) for name in names}
    for number in range(rounds):
        for place in order.permutation(len(names)):
            call, turn = alternatives[names[place]], times[names[place]][number]
            time.sleep(pause_s)
            for _ in range(lead):
                call()
            for index in range(len(turn)):
                started = clock()
                call()
                turn[index] = 1000 * (clock() - started)
        if progress:
            progress()
    return times
