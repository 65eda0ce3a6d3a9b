"""Take the steps of a search. Each is written down, so that a search that was interrupted goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgehr.benchmark.bench import Settings
from edgehr.benchmark.candidates import Candidate
from edgehr.benchmark.results import BenchReport
from edgehr.benchmark.table import between
from edgehr.files import sha256_file
from edgehr.tune.accuracy import Accuracy
from edgehr.tune.race import Bench, Raced, candidate, race
from edgehr.tune.time_left import TimeLeft
from edgehr.tune.variants import Variant, configurations
from edgehr.tune.workstation import Workstation

FINAL_S = 8.0


class Steps:
    """Races on one machine, has what is raced converted and evaluated on the workstation, and does nothing twice.

    Args:
        workstation: Converts and evaluates.
        bench: Measures candidates, here or on another machine.
        where: Name of that other machine; empty for this one.
        tell: Told what is being done, and how long all of it will take.

    Attributes:
        time: What may still come.
        machine: Name of the machine that is measured on, once a model has run there.
    """

    def __init__(self, workstation: Workstation, bench: Bench, where: str, tell: Callable[[str], None]) -> None:
        self._workstation, self._bench, self._where, self._tell = workstation, bench, where, tell
        self._at_once, self._journal = workstation.request.at_once, workstation.journal
        self.time = TimeLeft()
        self.machine, self._cores = "", 1
        # Runs along in every race: the first model that ran.
        self._pacemaker: Candidate | None = None
        self._pacemaker_sha256 = ""

    def convert(self, variant: Variant) -> Path:
        """Return the file of a variant, made now or by an earlier search."""
        return self._workstation.convert(variant, self._step)

    def evaluate(self, variant: Variant, path: Path) -> Accuracy:
        """Measure the accuracy of a variant."""
        return self._workstation.evaluate(variant, path, self._step)

    def race(self, variant: Variant, path: Path) -> Raced:
        """Race the ways to run a variant."""
        if not self.machine:
            report = self._bench([Candidate(path)], Settings(rounds=1, starts=0))
            self.machine, self._cores = report.setting["machine"], report.state["cores"]["usable"]
        at_once, runs = self._at_once, configurations(variant, self._cores, self._at_once)
        sha256 = sha256_file(path)
        of = {
            "file": sha256,
            "runs": [vars(run).copy() for run in runs],
            "at_once": at_once,
            "machine": [self._where, self.machine],
            "pacemaker": self._pacemaker_sha256,
        }
        known = self._journal.find("race", of)
        if known is None:
            with self._step("race", f"time {path.name}, {variant.name}"):
                known = race(path, runs, self._pacemaker, at_once, self._bench).to_dict()
            self._journal.write("race", of, known)
        raced = Raced.from_dict(known)
        if self._pacemaker is None:
            self._pacemaker, self._pacemaker_sha256 = candidate(path, raced.run, at_once), sha256
        return raced

    def check_machine(self) -> None:
        """Raise EdgehrError where nothing can be measured any more, as where the other machine is lost."""
        if self._pacemaker:
            self._bench([self._pacemaker], Settings(rounds=1, starts=0))

    def final(self, entered: Sequence[Candidate]) -> dict[str, Any]:
        """Measure finalists beside each other, for longer.

        Returns:
            ``ms`` of a frame for each; ``ratios`` to the fastest, with its interval; ``alike``, for each the places of
            those that it was not told apart from; ``remarks``.
        """
        runs = [{**each.to_dict(), "path": sha256_file(each.path)} for each in entered]
        of = {"runs": runs, "machine": [self._where, self.machine]}
        known: dict[str, Any] | None = self._journal.find("final", of)
        if known is None:
            with self._step("final", f"final of {len(entered)}"):
                report = self._bench(entered, Settings(seconds=FINAL_S, starts=0))
            known = _summary(report)
            self._journal.write("final", of, known)
        return known

    @contextmanager
    def _step(self, kind: str, what: str) -> Iterator[None]:
        self._tell(f"{what} ({self.time})")
        with self.time.step(kind):
            yield


def _summary(report: BenchReport) -> dict[str, Any]:
    """Sum a final up in plain JSON types; see `Steps.final`."""
    names = [each.name for each in report.candidates]
    ms = [each.latency.p50_ms * each.images for each in report.candidates]
    fastest = names[ms.index(min(ms))]
    pairs = {name: between(report, fastest, name) for name in names if name != fastest}
    return {
        "ms": ms,
        "ratios": [
            [pairs[name].ratio, pairs[name].low, pairs[name].high] if name in pairs else [1.0, 1.0, 1.0]
            for name in names
        ],
        "alike": [
            [i for i, other in enumerate(names) if other != name and not between(report, name, other).told_apart]
            for name in names
        ],
        "remarks": report.remarks,
    }
