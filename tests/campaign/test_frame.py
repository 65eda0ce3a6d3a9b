"""The frame of the campaigns: journals go on where they were, and reports count."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from tests.campaign import BrokenPromiseError, Case, Draw
from tests.campaign.__main__ import run_campaign
from tests.campaign.journal import Journal, report


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Puts in a campaign whose third case fails the first time; the list gets the cases that ran."""
    ran: list[tuple[int, float]] = []

    @contextmanager
    def open_campaign(folder: Path) -> Iterator[Draw]:
        def draw(number: int, random: Random) -> Case:
            drawn = random.random()

            def run() -> str:
                ran.append((number, drawn))
                if number == 2 and ran.count((number, drawn)) == 1:
                    raise BrokenPromiseError("lost\na file")
                return "whole"

            return Case("even" if number % 2 == 0 else "odd", run)

        yield draw

    module = ModuleType("tests.campaign.pretended")
    module.COUNT, module.open_campaign = 4, open_campaign  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return ran


def test_campaigns_go_on_where_they_were(tmp_path: Path, runs: list[tuple[int, float]]) -> None:
    def run(count: int | None = None) -> int:
        journal = Journal(tmp_path / "journal.jsonl")
        return run_campaign("pretended", journal, tmp_path / "work", seed=7, count=count, seconds=60)

    assert run(count=3) == 1
    with (tmp_path / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"campaign": "prete')  # killed while it wrote
    assert "- case 2, even: lost a file" in report(Journal(tmp_path / "journal.jsonl").entries)
    assert run() == 0
    assert [number for number, _ in runs] == [0, 1, 2, 2, 3]
    assert runs[2] == runs[3], "the same case of the same seed"
    assert run() == 0
    assert len(runs) == 5
    text = report(Journal(tmp_path / "journal.jsonl").entries)
    assert "| what | cases | whole | failed at first | fail now |" in text
    assert "| even | 2 | 2 | 1 |  |" in text
    assert "| together | 4 | 4 | 1 |  |" in text
