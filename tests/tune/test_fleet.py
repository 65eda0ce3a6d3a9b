"""Searches on several machines that share one workstation."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgehr.benchmark.bench import Settings
from edgehr.benchmark.remote import Remote
from edgehr.errors import EdgehrError
from edgehr.tune import fleet
from edgehr.tune.fleet import choice_names, tune_fleet
from tests.spread.works import wait_for


class Workstation:
    """Has things done by whom it was told to."""

    def __init__(self, request: Any, bar: Any, crew: Any, run: Callable[[Callable[[], Any]], Any]) -> None:
        self.request, self.run = request, run


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "Workstation", Workstation)
    monkeypatch.setattr(Remote, "check", lambda self: None)


def test_all_wait_for_one_workstation_and_race_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    here, meeting, threads = threading.current_thread(), threading.Barrier(3), []

    def search(workstation: Workstation, bench: Any, where: str, tell: Any, name: str) -> str:
        workstation.run(lambda: threads.append(threading.current_thread()))
        meeting.wait(20)  # breaks where one has to wait for another's end
        if where == "b":
            workstation.run(lambda: 1 // 0)
        tell("done")
        return name

    monkeypatch.setattr(fleet, "search", search)
    said: list[str] = []
    with pytest.raises(ZeroDivisionError):  # no failure of a machine: it is not hidden in a row
        tune_fleet(None, [Remote.by_ssh(host) for host in "abc"], tell=said.append)  # type: ignore[arg-type]
    assert threads == [here] * 3
    assert sorted(said) == ["a: done", "c: done"]


def test_a_machine_that_fails_costs_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(workstation: Workstation, bench: Any, where: str, tell: Any, name: str) -> str:
        if where == "b":
            raise EdgehrError("b: is out")
        return name

    monkeypatch.setattr(fleet, "search", search)
    said: list[str] = []
    told = tune_fleet(None, [Remote.by_ssh(host) for host in "abc"], tell=said.append)  # type: ignore[arg-type]
    assert said == ["b: failed: is out"]
    assert [(each.where, each.value, each.error) for each in told] == [
        ("a", "a.tuned", ""),
        ("b", None, "is out"),
        ("c", "c.tuned", ""),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="runs a shell script")
def test_an_interrupt_ends_all_searches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those that wait for the workstation, and those whose machine is at work."""
    program = tmp_path / "ssh"
    program.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/started && mv {tmp_path}/started {tmp_path}/pid && exec sleep 60\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    waited: list[str] = []

    def interrupt() -> None:
        wait_for(lambda: (tmp_path / "pid").exists())
        raise KeyboardInterrupt

    def search(workstation: Workstation, bench: Any, where: str, tell: Any, name: str) -> None:
        if where != "at-work":
            try:
                workstation.run(interrupt)
            except EdgehrError as error:
                waited.append(str(error))
        bench([], Settings())  # as a search would that takes it for a failed conversion

    monkeypatch.setattr(fleet, "search", search)
    remotes = [Remote.by_ssh(host) for host in ("at-work", "b", "c")]
    with pytest.raises(KeyboardInterrupt):
        tune_fleet(None, remotes)  # type: ignore[arg-type]
    assert waited == ["stopped"] * 2
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    with pytest.raises(EdgehrError, match="stopped"):
        remotes[1].bench([], Settings())


def test_names_of_choices() -> None:
    machines = ["pi@kitchen", "pi@kitchen", "docker exec -i board", "ssh://pi@host:22", "..", "pi@kitchen"]
    names = ["pi@kitchen", "pi@kitchen_2", "docker-exec-i-board", "ssh-pi@host-22", "machine", "pi@kitchen_3"]
    assert choice_names(machines) == names
    assert choice_names(["board_2", "board", "Board", "board"]) == ["board_2", "board", "Board_3", "board_4"]
