"""Measure on many machines, and put what they say into one table."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from edgehr.benchmark.bench import Settings
from edgehr.benchmark.candidates import Candidate
from edgehr.benchmark.remote import Remote
from edgehr.benchmark.results import BenchReport
from edgehr.benchmark.table import NONE, rows
from edgehr.errors import EdgehrError
from edgehr.progress import Progress

MACHINE = "MACHINE"


@dataclass(frozen=True)
class Told:
    """Holds what a machine of the fleet told.

    Attributes:
        where: The machine.
        report: Its measurement; None where it gave none.
        error: Why, in a line.
    """

    where: str
    report: BenchReport | None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        report = self.report.to_dict() if self.report else None
        return {"machine": self.where, "report": report, "error": self.error or None}


def bench_fleet(
    remotes: Sequence[Remote], candidates: Sequence[Candidate], settings: Settings, progress: Progress
) -> list[Told]:
    """Measure the same on each machine; one that fails costs its own figures alone.

    Machines that ssh reaches measure at the same time. Commands may lead to one and the same machine, whose figures
    would suffer, and so have their turns one after the other.

    Args:
        remotes: The machines.
        candidates: As for `run_bench`.
        settings: As for `run_bench`.
        progress: Told of each machine that is done.
    """
    running: list[subprocess.Popen[bytes]] = []

    def measure(remote: Remote) -> Told:
        try:
            told = Told(remote.where, remote.bench(candidates, settings, started=running.append))
        except EdgehrError as error:
            told = Told(remote.where, None, str(error).removeprefix(f"{remote.where}: "))
        progress.advance()
        return told

    by_ssh = all(remote.prefix[0] == "ssh" for remote in remotes)
    threads = ThreadPoolExecutor(len(remotes) if by_ssh else 1, "edgehr-fleet")
    try:
        return list(threads.map(measure, remotes))
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.terminate()
        raise
    finally:
        threads.shutdown()


def fleet_rows(told: Sequence[Told]) -> tuple[list[str], list[list[str]]]:
    """Return headers and a row for each candidate on each machine, and one for each machine that gave nothing."""
    tables = [(each, rows(each.report)) if each.report else (each, ([], [])) for each in told]
    headers = list(dict.fromkeys(name for _, (names, _) in tables for name in names)) or ["CANDIDATE"]
    last = headers[-1]
    lines = []
    for each, (names, cells) in tables:
        for row in cells:
            known = dict(zip(names, row, strict=True))
            lines.append([each.where, *(known.get(name, NONE) for name in headers)])
        if each.report is None:
            lines.append([each.where, *(f"failed: {each.error}" if name == last else NONE for name in headers)])
    return [MACHINE, *headers], lines
