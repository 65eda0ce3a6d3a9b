"""What is logged, and where it goes: standard error has it, standard output only results, inference nothing."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgehr
from edgehr.cli.common.logs import logged
from edgehr.cli.main import COMMANDS, build_parser, main
from edgehr.live.predictors.opening import predictor
from edgehr.runtimes import load
from tests.runtimes.small_models import conv_model
from tests.runtimes.small_tflite import doubling

FAST = {"onnx": ".onnx", "openvino": ".xml", "tflite": ".tflite"}


def test_every_command_takes_it_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    commands = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert len(commands) == len(COMMANDS)  # type: ignore[arg-type]
    for parser in commands.values():  # type: ignore[union-attr]
        assert "-v, --verbose" in parser.format_help()


@pytest.mark.parametrize("arguments", [["models"], ["inspect"], ["bench"]], ids=" ".join)
def test_standard_output_has_the_result_alone(arguments: list[str], tmp_path: Path) -> None:
    """In a process of its own, so that what native code prints counts too."""
    command = [*arguments, "-vv", "--json"]
    model = doubling(tmp_path / "model.tflite")
    command += {
        "inspect": [str(model)],
        "bench": [str(model), "--rounds", "3", "--starts", "0", "--streams", "0"],
    }.get(arguments[0], [])
    done = subprocess.run([sys.executable, "-m", "edgehr.cli.main", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert arguments[0] == "models" or " edgehr." in done.stderr


def test_what_is_chosen_is_said_and_nothing_stays_set_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = doubling(tmp_path / "model.tflite")
    said = {}
    for option in ("", "-v", "-vv"):
        assert main(["inspect", str(model), *filter(None, [option])]) == 0
        said[option] = capsys.readouterr().err
        assert logging.getLogger("edgehr").handlers == []
        assert logging.getLogger("edgehr").propagate
    assert said[""] == ""
    assert "not of edgehr, so it is tried in a process of its own first" in said["-v"]
    assert "DEBUG" not in said["-v"]
    assert "DEBUG   edgehr.runtimes: " in said["-vv"]


def test_warnings_are_printed_once_with_it_and_without(capsys: pytest.CaptureFixture[str]) -> None:
    for verbosity, expected in ((1, "WARNING edgehr.images: odd\n"), (2, "WARNING edgehr.images: odd\n")):
        with logged(verbosity):
            logging.getLogger("edgehr.images").warning("odd")
        assert capsys.readouterr().err.endswith(expected)
    code = "import logging, edgehr; logging.getLogger('edgehr.images').warning('odd')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "odd\n")


def test_the_library_sets_nothing_up() -> None:
    code = """
import logging, edgehr
for name in edgehr.__all__:
    try:
        getattr(edgehr, name)
    except edgehr.EdgehrError:
        pass
loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("edgehr")]
assert len(loggers) > 3
assert all(not logger.handlers and not logger.level for logger in loggers), loggers
"""
    subprocess.run([sys.executable, "-c", code], check=True)


class Counted:
    """Counts how often any logger is asked, even one that is off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        asked = logging.Logger.isEnabledFor

        def count(logger: logging.Logger, level: int) -> bool:
            self.calls += logger.name.startswith("edgehr")
            return asked(logger, level)

        monkeypatch.setattr(logging.Logger, "isEnabledFor", count)


@pytest.mark.parametrize("suffix", FAST.values())
def test_inference_asks_no_logger(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx
    import openvino as ov

    path = tmp_path / f"model{suffix}"
    if suffix == ".tflite":
        doubling(path)
    else:
        onnx.save(conv_model(), tmp_path / "model.onnx")
        if suffix == ".xml":
            ov.save_model(ov.Core().read_model(tmp_path / "model.onnx"), path, compress_to_fp16=False)
    with load(path) as runtime:
        spec = runtime.inputs[0]
        inputs: dict[str, Any] = {spec.name: np.zeros([size or 1 for size in spec.shape], spec.dtype)}
        counted = Counted(monkeypatch)
        for _ in range(5):
            runtime.infer(inputs)
            runtime.infer_async(inputs).result()
        assert counted.calls == 0


def test_frames_ask_no_logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with predictor() as model:
        counted = Counted(monkeypatch)
        calls = []
        for frame, _ in model.results(edgehr.open_source("clip")):
            calls.append(counted.calls)
            if frame.number == 4:
                break
        assert calls[0] == calls[-1]
