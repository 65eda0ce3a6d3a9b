"""The count of how often candidates are told apart, in one short run."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks.ranking import main


def test_it_counts_verdicts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ranking", "--runs", "1", "--rounds", "2", "--busy", "0"])
    main()
    shown = capsys.readouterr()
    assert "1 runs of 2 rounds" in shown.out
    pairs = re.findall(r"(\w+) +against (\w+) +told apart +0, slower +0, ratio \d\.\d+", shown.out)
    assert pairs == [("second", "first"), ("slower", "first"), ("slower", "second")]
    assert shown.err.count("undecided") == 3
