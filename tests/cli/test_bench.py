"""`edgehr bench` as users meet it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgehr.assets import packaged_model
from edgehr.cli.main import main
from tests.benchmark.test_candidates import foreign

MODEL = "hrnetv2-w18-small-v1-person-192x192"
TFLITE = str(packaged_model(MODEL, ".tflite"))
ONNX = str(packaged_model(MODEL))
QUICK = ("--rounds", "2", "--starts", "0", "--streams", "0")
EDGEHR = f"{sys.executable} -m edgehr.cli.main"


def told_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert main(["bench", *map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["bench", *map(str, arguments)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = [line for line in shown.err.strip().splitlines() if not line.startswith("INFO: ")]  # LiteRT's
    (line,) = lines
    return line.removeprefix("edgehr bench: ")


def test_the_table_and_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "out" / "p.html"
    command = ["bench", ONNX, TFLITE, "--rounds", "3", "--starts", "1", "--streams", "2", "--busy", "1", "--profile"]
    assert main([*command, "--out", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "load      busy processes beside it: 1" in shown
    header, first, second = next(
        shown.splitlines()[number : number + 3]
        for number, line in enumerate(shown.splitlines())
        if line.startswith("RANK")
    )
    assert re.split("  +", header)[:6] == ["RANK", "CANDIDATE", "P50 ms", "P90", "P99", "TIME"]
    assert "IMG/S x2" in header
    assert {re.split("  +", line)[1] for line in (first, second)} == {"192x192.onnx", "192x192.tflite"}
    assert "Fewer than 12 rounds tell nothing apart" in shown
    assert "tflite does not tell times of operators" in shown
    assert re.search(r"^Conv +\d+ ", shown, re.MULTILINE)
    assert f"written: {page}" in shown
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_json_of_settings_that_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_of(capsys, TFLITE, "--threads", "1,2", *QUICK)
    assert [each["name"] for each in told["candidates"]] == [f"{MODEL}.tflite, 1 thread", f"{MODEL}.tflite, 2 threads"]
    assert [each["threads"] for each in told["candidates"]] == [1, 2]
    assert [len(each["times_ms"]) for each in told["candidates"]] == [2, 2]
    assert told["candidates"][0]["fed"] == "picture"
    assert told["comparisons"][0]["verdict"] == "undecided"
    assert told["page"] is None
    assert set(told["state"]) == {"before", "after", "use", "cores"}


def test_foreign_models_get_random_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import openvino as ov

    source = foreign(tmp_path / "m.onnx", x=(1, ["batch", 3, 8, 8]))
    ov.save_model(ov.convert_model(str(source)), tmp_path / "m.xml")
    told = told_of(capsys, source, tmp_path / "m.xml", "--shape", "1,3,8,8", *QUICK)
    assert [each["fed"] for each in told["candidates"]] == ["random", "random"]
    assert told["candidates"][0]["inputs"] == ["x float32 (1, 3, 8, 8)"]
    assert told["setting"]["inputs"] == "random numbers: what the model expects is not known"
    assert "leaves open (N): give --shape 1,3,8,8" in failure(capsys, source, *QUICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.onnx"], "absent.onnx: no such model file"),
        (["page.onnx"], "page.onnx: a web page"),
        (["broken.onnx"], "broken.onnx: ONNX Runtime"),
        (["notes.txt"], "notes.txt: unknown kind of model"),
        ([TFLITE, "--precision", "bf16"], "TFLite computes in the precision of the file"),
        ([TFLITE, "--device", "warp"], "TFLite has no device 'warp'"),
        ([TFLITE, "--out", "page.pdf"], "page.pdf: the page's name must end in .html"),
        ([TFLITE, "--shape", "y=1,2"], "there is no input 'y'"),
        ([TFLITE, "--on=-oProxyCommand=x"], "expected a host of ssh"),
        ([TFLITE, "--on", "a,b", "--on", "a"], "--on a: is named twice, and would be measured beside itself"),
        ([TFLITE, "--on-command", "'"], '--on-command "\'": No closing quotation'),
        ([TFLITE, "--on-command", ""], "--on-command is empty"),
        ([TFLITE, "--on-command", "/absent/program"], "/absent/program: cannot be run: No such file"),
    ],
)
def test_expected_failures_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.onnx").write_text("<!DOCTYPE html><html>")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07" * 50)
    (tmp_path / "notes.txt").write_text("notes")
    assert message in failure(capsys, *arguments, *QUICK)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["m.onnx", "--rounds", "0"],
        ["m.onnx", "--seconds", "0"],
        ["m.onnx", "--seconds", "nan"],
        ["m.onnx", "--rounds", "3", "--seconds", "3"],
        ["m.onnx", "--threads", "1,0"],
        ["m.onnx", "--threads", ""],
        ["m.onnx", "--shape", "1,N"],
        ["m.onnx", "--min-difference", "0"],
        ["m.onnx", "--on", "a", "--on-command", "b"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2
    assert "usage: edgehr bench" in capsys.readouterr().err


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that an `ssh` on the path reaches: this one, with folders for temporary files and logs of its own."""
    folder = tmp_path / "board"
    (folder / "kept").mkdir(parents=True)
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
printf '%s\\n' "$@" > {folder}/arguments
for script in "$@"; do host=$last; last=$script; done
if [ "${{host%2}}" != user@board ]; then
    echo "ssh: Could not resolve hostname $host: Name or service not known" >&2
    exit 255
fi
echo 'Welcome to the board!'
TMPDIR={folder}/kept exec sh -c "$script"
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return folder


def test_the_same_on_another_machine(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = tmp_path / "it's a model.tflite"
    strange.write_bytes(Path(TFLITE).read_bytes())
    there = ("--on", "user@board", "--on-edgehr", EDGEHR)
    page = tmp_path / "p.html"
    told = told_of(capsys, strange, ONNX, *there, "--threads", "1", *QUICK, "--out", page)
    assert [each["path"] for each in told["candidates"]] == ["it's a model.tflite", f"{MODEL}.onnx"]
    assert [each["threads"] for each in told["candidates"]] == [1, 1]
    assert told["page"] == str(page)
    assert page.is_file()
    assert list((board / "kept").iterdir()) == []
    assert (board / "arguments").read_text().splitlines()[:2] == ["-T", "-o"]
    assert main(["bench", ONNX, ONNX, *there, *QUICK]) == 0
    assert f"{MODEL}.onnx #2" in capsys.readouterr().out


def test_files_of_one_name_and_files_beside(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import openvino as ov

    for name in "ab":
        (tmp_path / name).mkdir()
        source = foreign(tmp_path / name / "m.onnx", x=(1, [1, 3, 8, 8]))
        ov.save_model(ov.convert_model(str(source)), tmp_path / name / "m.xml")
    paths = (tmp_path / "a" / "m.xml", tmp_path / "b" / "m.xml")
    told = told_of(capsys, *paths, "--on-command", f"env TMPDIR={board}/kept", "--on-edgehr", EDGEHR, *QUICK)
    assert [each["path"] for each in told["candidates"]] == ["1/m.xml", "2/m.xml"]
    assert list((board / "kept").iterdir()) == []


def test_edgehr_there_by_a_path_from_home(
    board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = board / "venv" / "edgehr"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {EDGEHR} "$@"\n')
    program.chmod(0o755)
    monkeypatch.chdir(board)  # where its sessions begin
    assert told_of(capsys, TFLITE, "--on", "user@board", "--on-edgehr", "venv/edgehr", *QUICK)["candidates"]


def test_what_fails_on_another_machine_is_one_line(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = failure(capsys, TFLITE, "--on", "user@elsewhere")
    assert said == "user@elsewhere: ssh: Could not resolve hostname user@elsewhere: Name or service not known"
    said = failure(capsys, TFLITE, "--on", "user@board", "--on-edgehr", "edgehr-absent")
    assert said.startswith("user@board: there is no 'edgehr-absent' there: install edgehr, or name it with --on-edgehr")
    there = ("--on", "user@board", "--on-edgehr", EDGEHR)
    assert failure(capsys, TFLITE, "--precision", "bf16", *there).startswith("user@board: TFLite computes in")
    assert "printed no measurement" in failure(capsys, TFLITE, "--on", "user@board", "--on-edgehr", "echo")
    old = f"{sys.executable} -c 'import sys; sys.exit(\"edgehr: error: argument COMMAND: invalid choice: bench\")'"
    assert "invalid choice: bench" in failure(capsys, TFLITE, "--on", "user@board", "--on-edgehr", old)
    assert list((board / "kept").iterdir()) == []


def test_a_fleet_has_one_table_and_a_machine_that_fails_is_a_row(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ("--on", "user@board,user@elsewhere", "--on", "user@board2", "--on-edgehr", EDGEHR)
    assert main(["bench", TFLITE, ONNX, *there, *QUICK]) == 1
    shown = capsys.readouterr()
    assert shown.err.strip() == "edgehr bench: 1 of 3 machines gave no figures, as said in their rows"
    lines = [re.split("  +", line) for line in shown.out.splitlines()]
    assert lines[0][:4] == ["MACHINE", "RANK", "CANDIDATE", "P50 ms"]
    assert [line[0] for line in lines[1:6]] == [*["user@board"] * 2, "user@elsewhere", *["user@board2"] * 2]
    assert lines[3][-1].startswith("failed: ssh: Could not resolve hostname user@elsewhere")
    assert shown.out.count("Fewer than 12 rounds tell nothing apart") == 2
    assert list((board / "kept").iterdir()) == []


def test_a_fleet_by_commands_as_json(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"env TMPDIR={board}/kept"
    there = ("--on-command", place, "--on-command", f"{place} X=1", "--on-edgehr", EDGEHR)
    told = told_of(capsys, TFLITE, *there, *QUICK)["machines"]
    assert [each["machine"] for each in told] == [place, f"{place} X=1"]
    assert [len(each["report"]["candidates"]) for each in told] == [1, 1]
    assert "a page is of one machine" in failure(capsys, TFLITE, *there, "--out", "p.html")


def test_verify_compares_a_model_with_itself_on_other_machines(
    board: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    there = ("--on", "user@board,user@elsewhere", "--on-edgehr", EDGEHR)
    assert main(["verify", TFLITE, *there]) == 1
    shown = capsys.readouterr()
    assert "edgehr verify: 1 of 2 machines gave no figures" in shown.err
    rows = [re.split("  +", line) for line in shown.out.splitlines()]
    assert rows[1][0] == "user@board"
    assert float(rows[1][1]) < 1e-4
    assert rows[2][1].startswith("failed: ssh: Could not resolve hostname")
    once = ("--on", "user@board", "--on-edgehr", EDGEHR, "--json")
    assert main(["verify", TFLITE, *once, "--max-difference", "1e-4"]) == 0
    assert json.loads(capsys.readouterr().out)["machines"][0]["difference"] < 1e-4
    assert main(["verify", TFLITE, *once, "--max-difference", "0"]) == 1
    assert "the difference is above 0 on user@board (" in capsys.readouterr().err
    assert list((board / "kept").iterdir()) == []
    for wrong in ([TFLITE, ONNX, "--on", "a"], [TFLITE]):
        assert main(["verify", *wrong]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("hosts", ["user@board", "user@board,user@board2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whoever_gives_up_leaves_nothing_behind(board: Path, number: signal.Signals, hosts: str) -> None:
    """By Ctrl-C, and where this side vanishes."""
    command = [sys.executable, "-m", "edgehr.cli.main", "bench", TFLITE, "--seconds", "500", "--busy", "1"]
    command += ["--starts", "0", "--on", hosts, "--on-edgehr", EDGEHR]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len([*(board / "kept").iterdir()]) > hosts.count(","))
    wait_for(lambda: measuring(board))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert said.strip().splitlines()[-1] == "edgehr bench: interrupted"
    wait_for(lambda: not [*(board / "kept").iterdir()])
    wait_for(lambda: not measuring(board))


def measuring(board: Path) -> list[str]:
    """Processes that work in the board's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd").startswith(str(board / "kept")):
                found.append(process.name)
        except OSError:
            continue
    return found


def wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
