"""Ask many machines for the same, and put what they say into one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edgehr.benchmark.remote import Remote
from edgehr.benchmark.table import NONE
from edgehr.errors import EdgehrError
from edgehr.progress import Progress

MACHINE = "MACHINE"

T = TypeVar("T")


@dataclass(frozen=True)
class Told(Generic[T]):
    """Holds what a machine of the fleet told.

    Attributes:
        where: The machine.
        value: What it told; None where it failed.
        error: Why, in a line.
    """

    where: str
    value: T | None
    error: str = ""


def ask_fleet(remotes: Sequence[Remote], ask: Callable[[Remote], T], progress: Progress) -> list[Told[T]]:
    """Have each machine do the same; one that fails costs its own answer alone.

    Machines that ssh reaches work at the same time. Commands may lead to one and the same machine, whose figures would
    suffer, and so have their turns one after the other.

    Args:
        remotes: The machines.
        ask: Asks one of them; raises EdgehrError where that fails.
        progress: Told of each machine that is done.
    """

    def one(remote: Remote) -> Told[T]:
        try:
            told: Told[T] = Told(remote.where, ask(remote))
        except EdgehrError as error:
            told = Told(remote.where, None, str(error).removeprefix(f"{remote.where}: "))
        progress.advance()
        return told

    by_ssh = all(remote.prefix[0] == "ssh" for remote in remotes)
    threads = ThreadPoolExecutor(len(remotes) if by_ssh else 1, "edgehr-fleet")
    try:
        return list(threads.map(one, remotes))
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        for remote in remotes:
            remote.stop()
        raise
    finally:
        threads.shutdown()


def refuse_failures(told: Sequence[Told[T]]) -> None:
    """Raise EdgehrError where machines failed, for the end of a command that has shown the others."""
    failed = sum(bool(each.error) for each in told)
    if failed:
        raise EdgehrError(f"{failed} of {len(told)} machines gave no figures, as said in their rows")


def fleet_dict(told: Sequence[Told[Any]]) -> dict[str, Any]:
    """Return the reports of all machines, which have a `to_dict`, in plain JSON types."""
    reports = [(each, each.value.to_dict() if each.value else None) for each in told]
    return {"machines": [{"machine": e.where, "report": report, "error": e.error or None} for e, report in reports]}


def fleet_rows(
    told: Sequence[Told[T]], rows: Callable[[T], tuple[list[str], list[list[str]]]]
) -> tuple[list[str], list[list[str]]]:
    """Return headers and all rows of each machine's table, and a row for each machine that gave nothing.

    Args:
        told: What the machines told.
        rows: Returns headers and rows for one of them.
    """
    tables = [(each, rows(each.value)) if each.value else (each, ([], [])) for each in told]
    headers = list(dict.fromkeys(name for _, (names, _) in tables for name in names)) or ["CANDIDATE"]
    last = headers[-1]
    lines = []
    for each, (names, cells) in tables:
        for row in cells:
            known = dict(zip(names, row, strict=True))
            lines.append([each.where, *(known.get(name, NONE) for name in headers)])
        if each.value is None:
            lines.append([each.where, *(f"failed: {each.error}" if name == last else NONE for name in headers)])
    return [MACHINE, *headers], lines
