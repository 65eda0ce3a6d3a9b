"""`edgehr tune` as users meet it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import edgehr
from edgehr.benchmark.fleet import Told
from edgehr.cli.main import main
from edgehr.files import only_one
from edgehr.tune import race, steps
from edgehr.zoo import DEFAULT_MODEL
from tests.conftest import ROOT
from tests.made_once import Store
from tests.models.narrow_hrnet import CARD

LIMIT = ("--max-drop", "1")


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["tune", *map(str, arguments)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    return line.removeprefix("edgehr tune: ")


@pytest.mark.slow
@pytest.mark.usefixtures("kept_exports")
def test_it_goes_on_after_a_kill_and_finds_the_same(
    tmp_path: Path,
    narrow_hrnet: Path,
    few_people: tuple[Path, Path],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    card = tmp_path / "narrow.json"
    card.write_text(json.dumps(CARD.to_dict()))
    out = tmp_path / "tuned"
    arguments = [f"{card}={narrow_hrnet}", *LIMIT, "--annotations", str(few_people[0])]
    arguments += ["--images", str(few_people[1]), "--max-samples", "12", "--to", "onnx,tflite"]
    arguments += ["--precision", "fp32", "--out", str(out)]
    command = [sys.executable, "-m", "tests.kept_command", str(store.folder), "tune", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 240
    while "race" not in kinds(out):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    first = next(out.glob("*-fp32.onnx"))
    written = first.stat().st_mtime_ns

    monkeypatch.setattr(race, "ROUNDS", 4)
    monkeypatch.setattr(steps, "FINAL_S", 0.5)
    assert main(["tune", *arguments, "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert first.stat().st_mtime_ns == written
    assert "to onnx fp32" not in shown.err
    (chosen,) = [each for each in told["tried"] if each["standing"] == "chosen"]
    assert [each["target"] for each in told["tried"]] == ["onnx", "tflite"]
    assert told["file"] == str(out / "chosen.tuned")
    with edgehr.load(told["file"]) as runtime:
        assert runtime.path == Path(chosen["path"])
    assert "<svg" in (out / "tune.html").read_text(encoding="utf-8")
    assert not [path for path in out.iterdir() if path.name.startswith(".edgehr-unfinished")]

    assert main(["tune", *arguments, "--json"]) == 0
    again = capsys.readouterr()
    assert json.loads(again.out) == told
    assert again.err == ""  # there was nothing left to do
    next(out.glob("*-fp32.tflite")).unlink()
    assert main(["tune", *arguments, "--json"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines() if " left)" in line] == ["convert"]

    there = ["--on-command", "env", "--on-edgehr", f"{sys.executable} -m edgehr.cli.main", "--to", "tflite"]
    assert main(["tune", *arguments, *there, "--json"]) == 0
    measured = capsys.readouterr()
    done = [line.split()[0] for line in measured.err.splitlines()]
    assert (done[0], done[-1]) == ("time", "final")  # what was converted and timed here stands
    assert "convert" not in done
    assert "accuracy was measured on this workstation" in json.loads(measured.out)["remarks"][-1]

    boards = [*there[2:], "--on-command", "env", "--on-command", "env BOARD=2", "--on-command", "false"]
    assert main(["tune", *arguments, *boards]) == 1
    measured = capsys.readouterr()
    assert "convert" not in measured.err
    assert {line.partition(": ")[0] for line in measured.err.splitlines()} == {"env BOARD=2", "false", "edgehr tune"}
    assert measured.err.endswith("1 of 3 machines gave no figures, as said in their rows\n")
    rows = [re.split("  +", line) for line in measured.out.splitlines()[:4]]
    assert rows[0][:3] == ["MACHINE", "NO", "MODEL"]
    assert [row[0] for row in rows[1:]] == ["env", "env BOARD=2", "false"]
    assert rows[3][-1].startswith("failed: ")
    assert len([path for path in out.glob("env*") if path.suffix in (".html", ".tuned")]) == 4
    with edgehr.load(out / "env-BOARD-2.tuned") as runtime:
        assert runtime.path == next(out.glob("*-fp32.tflite"))

    assert main(["tune", *arguments, "--budget", "0.01ms"]) == 1
    assert "nothing keeps to at most 1 points of AP less and at most 0.01 ms" in capsys.readouterr().err


def kinds(folder: Path) -> list[str]:
    """The steps that a search has written down."""
    try:
        entries: dict[str, Any] = json.loads((folder / "journal.json").read_text())["entries"]
    except FileNotFoundError:
        return []
    return [entry["kind"] for entry in entries.values()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what is wanted: --max-drop POINTS, --budget MILLISECONDSms, or both"),
        ([*LIMIT, "--task", "juggling"], "--task juggling: no model of it ships with edgehr"),
        ([*LIMIT, f"{DEFAULT_MODEL}@100x100"], "100"),
        ([*LIMIT, f"{DEFAULT_MODEL}@large"], "'large' is not HEIGHTxWIDTH"),
        ([*LIMIT, f"{DEFAULT_MODEL}=absent.pth"], "absent.pth: no such checkpoint"),
        ([*LIMIT, "absent"], "absent"),
        ([*LIMIT, "--precision", "fp8"], "--precision fp8: expected some of fp32, fp16, int8, dynamic-int8"),
        ([*LIMIT, "--precision", "int8"], "--precision int8 needs --calib with real images"),
        ([*LIMIT, "--calib-crops", "40"], "--calib-crops goes with --calib"),
        ([*LIMIT, "--to", "papyrus"], "unknown target 'papyrus'"),
        ([*LIMIT, "--on=-x"], "expected a host of ssh"),
        ([*LIMIT], "absent.json: cannot read it"),
    ],
)
def test_expected_failures_are_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in failure(capsys, *arguments, "--annotations", "absent.json")


def test_results_are_printed_when_the_workers_have_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While Ray is connected, what is printed goes to standard error with what Ray has to say."""

    class Report:
        chosen = "it"

        def to_dict(self) -> dict[str, int]:
            return {"found": 1}

    @contextmanager
    def crew(*_: object) -> Iterator[None]:
        with redirect_stdout(sys.stderr):
            yield

    monkeypatch.setattr("edgehr.spread.open_crew", crew)
    monkeypatch.setattr("edgehr.cli.tune._search", lambda *_: ([Told("", Report())], []))
    assert main(["tune", *LIMIT, "--annotations", "a.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"found": 1}


def test_one_search_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with only_one(tmp_path):
        said = failure(capsys, *LIMIT, "--annotations", "a.json", "--out", tmp_path)
    assert said == f"{tmp_path}: another process of edgehr is at work there"


def test_calibration_and_evaluation_keep_apart(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = shared / "data" / "coco-val2017-people" / "person_keypoints.json"
    said = failure(
        capsys, *LIMIT, "--annotations", people, "--calib", people, "--calib-crops", "32", "--out", tmp_path / "t"
    )
    assert "are in this calibration set" in said


@pytest.mark.parametrize("budget", ["20", "20ms", "0.02s"])
def test_budgets(budget: str, capsys: pytest.CaptureFixture[str]) -> None:
    from edgehr.cli.tune import _milliseconds

    assert _milliseconds(budget) == 20
    with pytest.raises(SystemExit):
        main(["tune", "--budget", "0ms", "--annotations", "a.json"])
    assert "'0ms' is no time such as 20ms" in capsys.readouterr().err
