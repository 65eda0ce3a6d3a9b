"""Race ways to run one model file against each other, until one is left or those left are alike.

After each lap those leave that the bench's test calls slower than the fastest, and a longer lap follows for the others
(Hoeffding races: O. Maron, A. Moore, 1994; with tests on ranks: M. Birattari and others, 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgehr.benchmark.bench import Settings
from edgehr.benchmark.candidates import Candidate
from edgehr.benchmark.ranking import ALIKE, SLOWER
from edgehr.benchmark.results import BenchReport
from edgehr.benchmark.table import between
from edgehr.runtimes.tuned import RunConfiguration

ROUNDS, LAPS = 12, 2

# Measures candidates, here or on another machine.
Bench = Callable[[Sequence[Candidate], Settings], BenchReport]


@dataclass(frozen=True)
class Raced:
    """Tells what came of a race.

    Attributes:
        run: The way that won; of several that were not told apart, that which takes fewest cores.
        ms: Of a frame, with all its images; on a machine that may have been busier than during other races.
        ratio: That time as a multiple of the pacemaker's in the same race.
        error: Half of the width of that ratio's confidence interval, as a fraction of it.
    """

    run: RunConfiguration
    ms: float
    ratio: float
    error: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "run": vars(self.run).copy()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Raced:
        """Make one of what `to_dict` returned."""
        return cls(**{**data, "run": RunConfiguration(**data["run"])})


def candidate(path: Path, run: RunConfiguration, at_once: int) -> Candidate:
    """Return what the bench measures of a way to run a model file."""
    several = at_once if at_once > 1 else None
    return Candidate(path, run.device, run.threads, run.precision, streams=run.streams, at_once=several)


def race(
    path: Path, runs: Sequence[RunConfiguration], pacemaker: Candidate | None, at_once: int, bench: Bench
) -> Raced:
    """Race ways to run a model file.

    Args:
        path: Its main file.
        runs: The ways.
        pacemaker: What runs along in every race of a search, so that races at different times can be compared.
        at_once: How many images come together.
        bench: Measures candidates.

    Raises:
        EdgehrError: The model cannot be opened or run.
    """
    left = list(runs)
    for lap in range(LAPS):
        entered = [candidate(path, run, at_once) for run in left]
        report = bench(
            [*entered, *([pacemaker] if pacemaker else [])], Settings(rounds=ROUNDS << lap, starts=0, seed=lap)
        )
        names = [each.name for each in report.candidates]
        own = names[: len(left)]
        fastest = min(own, key=lambda name: _p50(report, name))
        verdicts = {name: between(report, fastest, name).verdict for name in own if name != fastest}
        stayed = [name for name in own if verdicts.get(name) != SLOWER]
        left = [run for run, name in zip(left, own, strict=True) if name in stayed]
        if all(verdicts[name] == ALIKE for name in stayed if name != fastest):
            break
    winner = min(zip(left, stayed, strict=True), key=lambda each: _cores(each[0]))
    if pacemaker is None:
        return Raced(winner[0], _p50(report, winner[1]) * at_once, 1.0, 0.0)
    pace = between(report, names[-1], winner[1])
    return Raced(winner[0], _p50(report, winner[1]) * at_once, pace.ratio, pace.resolution)


def _p50(report: BenchReport, name: str) -> float:
    return next(each.latency.p50_ms for each in report.candidates if each.name == name)


def _cores(run: RunConfiguration) -> int:
    return max(run.threads or 1, run.streams or 1)
