"""The command line as users meet it: in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.cli.main import main
from edgehr.evaluation.annotations import Annotations
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL
from tests.conftest import ROOT
from tests.made_once import Store
from tests.models.short_lite_hrnet import WIDER

INT8 = ["convert", DEFAULT_MODEL, "--to", "tflite", "--precision", "int8"]


def one_line(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    return lines[0]


def test_models_are_listed_filtered_and_given_as_cards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["NAME", "OF", "FINDS"]
    assert len(lines) > 60
    assert main(["models", "dark", "wholebody"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert names
    assert all("dark" in name and "wholebody" in name for name in names)
    assert main(["models", DEFAULT_MODEL, "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)
    assert card["weights"]["origin"] == "sample"
    for category, least in (("body", 25), ("wholebody", 7), ("hand", 9), ("animal", 11), ("fashion", 3)):
        assert main(["models", category]) == 0
        kinds = [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]]
        assert len(kinds) >= least
        assert set(kinds) == {category}
    assert main(["models", "unicorn"]) == 1
    assert "no model matches unicorn" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["convert", "x"],
        ["convert", "x", "--to", "onnx", "--size", "256"],
        ["convert", "x", "--to", "onnx", "--batch", "many"],
        ["convert", "x", "--to", "onnx", "--batch", "0"],
        ["eval", "x.onnx"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: edgehr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "hrnet-w32-coco"], "did you mean"),
        (["convert", "hrnet-w99", "--to", "onnx"], "unknown model"),
        (["convert", DEFAULT_MODEL, "--to", "onnx", "--size", "250x192"], "divide by 32"),
        (["convert", DEFAULT_MODEL, "--to", "onnx", "--weights", "absent.pth"], "absent.pth: no such checkpoint"),
        (["convert", DEFAULT_MODEL, "--to", "onnx", "--out", "a.xml"], "must end in .onnx"),
        (["convert", DEFAULT_MODEL, "--to", "onnx", "--workspace", "5"], "--workspace only go with --to tensorrt"),
        (["convert", DEFAULT_MODEL, "--to", "tensorrt", "--profile", "1,2,4"], "needs --batch dynamic"),
        (["convert", DEFAULT_MODEL, "--to", "trt-bundle", "--trt", "tensorrt_rtx"], "--trt chooses who builds"),
        (["convert", DEFAULT_MODEL, "--to", "onnx", "--layout", "nchw"], "only go with --to tflite"),
        (["convert", DEFAULT_MODEL, "--to", "onnx", "--precision", "int8"], "int8 needs real images"),
        (["convert", DEFAULT_MODEL, "--to", "tflite", "--batch", "dynamic"], "fixed batch"),
        (INT8, "needs real images"),
        ([*INT8, "--calib", "absent"], "absent: not there"),
        (["convert", DEFAULT_MODEL, "--to", "tflite", "--calib", "."], "--calib goes with --precision int8"),
        (["convert", DEFAULT_MODEL, "--to", "tflite", "--held-out", "."], "--held-out goes with --calib"),
        (["convert", DEFAULT_MODEL, "--to", "tflite", "--calib-crops", "50"], "--calib-crops goes with --calib"),
        ([*INT8, "--calib", ".", "--calib-images", "."], "--calib-images goes with --calib ANNOTATIONS.json"),
        ([*INT8, "--calib", ".", "--calib-crops", "5"], "--calib-crops must be 32 to 2000, got 5"),
        ([*INT8, "--calib", ".", "--calib-detector", "absent.xml"], "no such model file"),
        ([*INT8, "--calib", "."], "holds no images"),
        (["convert", DEFAULT_DETECTOR, *INT8[2:], "--calib", "."], "comes as ONNX, without a PyTorch network"),
        (["convert", DEFAULT_MODEL, "--to", "tflite", "--int8-io"], "need --precision int8"),
        (["convert", DEFAULT_MODEL, "--to", "tflite", "--fp16-io"], "--fp16-io goes with other targets"),
        (["inspect", "absent.onnx", "--delegate", "gpu"], "--delegate goes with a .tflite"),
        (["inspect", "absent.onnx"], "no such model file"),
        (["verify", "absent.onnx", "absent.xml"], "no such model file"),
        (["verify", "a.pth", "b.pth"], "say which model"),
        (["verify", "absent.onnx", "absent.xml", "--annotations", "a"], "no such model file"),
        (["eval", "absent.onnx", "--annotations", "a", "--images", "b"], "no such model file"),
        (["demo", "--source", "absent.jpg"], "no such image"),
        (["demo", "--model", "absent"], "absent: no such model file"),
        (["demo", "--model", "yunet-widerface-640x640"], "edgehr convert yunet-widerface-640x640 makes a file"),
        (["eval", DEFAULT_MODEL, "--annotations", "a", "--images", "b", "--device", "GPU"], "runs in PyTorch"),
        (["eval", DEFAULT_MODEL, "--annotations", "a", "--images", "b", "--threads", "-1"], "threads must be"),
        (["eval", DEFAULT_DETECTOR, "--annotations", "a"], "comes as ONNX and does not run in PyTorch"),
        (["convert", DEFAULT_MODEL, "--to", "onnx", "--images", "nowhere"], "no such image or folder"),
        (["convert", DEFAULT_MODEL, "--to", "tensorrt", "--trt", "tensorrt"], "tensorrt is not usable"),
        (["demo", "--source", "x" * 300 + ".jpg"], "File name too long"),
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
    assert main(arguments) == 1
    line = one_line(capsys.readouterr().err)
    assert line.startswith(f"edgehr {arguments[0]}: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_no_error(edgehr_command: Any) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m edgehr.cli.main models | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.slow
def test_from_checkpoint_to_picture(
    tmp_path: Path, edgehr_command: Any, kept_command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What README and Makefile do, in an empty folder: convert, inspect, verify, demo."""
    converted = kept_command("convert", DEFAULT_MODEL, "--to", "openvino", cwd=tmp_path)
    assert converted.returncode == 0, converted.stderr
    for stage in ("load checkpoint", "export to ONNX", "simplify", "compare with PyTorch"):
        assert stage in converted.stderr
    for word in ("sample weights", "nodes"):
        assert word in converted.stdout
    artifact = tmp_path / "artifacts" / f"{DEFAULT_MODEL}-fp32.xml"
    assert sorted(path.suffix for path in artifact.parent.iterdir()) == [".bin", ".xml"]

    def told(*arguments: object) -> str:
        assert main([*map(str, arguments)]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    shown = told("inspect", artifact)
    assert DEFAULT_MODEL in shown
    assert "sample" in shown
    about = json.loads(told("inspect", artifact, "--json"))
    assert about["inputs"] == [{"name": "image", "shape": [1, 3, 256, 192], "dtype": "float32"}]
    same = told("verify", DEFAULT_MODEL, artifact, "--max-difference", "1e-3", "--json")
    assert json.loads(same)["keypoints"] > 100
    assert main(["verify", DEFAULT_MODEL, str(artifact), "--max-difference", "1e-12"]) == 1
    assert "is above 1e-12" in one_line(capsys.readouterr().err)
    agreed = told("verify", artifact, artifact, "--min-agreement", "1")
    assert "mean OKS   1.0000    10 people" in agreed

    found = edgehr_command("demo", "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    summary = json.loads(found.stdout)
    assert (summary["frames"], summary["frames_with"], summary["weights"]) == (1, 1, "sample")
    (saved,) = summary["saved"]
    picture = cv2.imread(str(tmp_path / saved))
    original = cv2.imread(str(summary["source"]))
    assert picture.shape == original.shape
    assert (np.abs(picture.astype(int) - original).max(axis=2) > 40).mean() > 0.02


@pytest.mark.slow
def test_a_failed_conversion_on_a_terminal_gives_the_cursor_back(
    tmp_path: Path, store: Store, short_wider: Path
) -> None:
    """In a pseudo-terminal: the spinner hides the cursor, and the failure must show it again."""
    import os
    import pty
    import sys

    (tmp_path / "card.json").write_text(json.dumps(WIDER.with_size(64, 96).to_dict()))
    code = (
        f"import runpy, sys; sys.path.insert(0, r'{ROOT}'); "
        "import edgehr.converters.convert as c; c.TOLERANCE = {'fp32': 0.0}; "
        f"sys.argv[1:] = [r'{store.folder}', 'convert', r'{tmp_path / 'card.json'}', '--weights', r'{short_wider}', "
        f"'--to', 'onnx', '--out', r'{tmp_path / 'a.onnx'}']; "
        "runpy.run_module('tests.kept_command', run_name='__main__')"
    )
    printed = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        printed.extend(data)
        return b"" if not data else b"."  # the copy that pytest captures

    pty.spawn([sys.executable, "-c", code], read)
    assert b"it was not written" in printed
    assert printed.count(b"\x1b[?25l") == printed.count(b"\x1b[?25h") > 0


@pytest.mark.slow
def test_verify_of_a_checkpoint_takes_the_artifact_s_card(
    sample_onnx: Path, sample_ir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgehr.zoo import find_weights, get_card

    weights = find_weights(get_card(DEFAULT_MODEL))
    for pair in ((weights, sample_onnx), (sample_ir, weights), (sample_onnx, sample_ir)):
        assert main(["verify", *map(str, pair), "--max-difference", "1e-3"]) == 0
        told = capsys.readouterr().out
        assert "10 windows of the photographs" in told
        assert "sample weights" in told
    assert main(["eval", str(sample_onnx), "--weights", "x", "--annotations", "a", "--images", "b"]) == 1
    assert "has its weights inside" in one_line(capsys.readouterr().err)


@pytest.mark.slow
def test_verify_on_annotated_people_prints_agreement(
    sample_onnx: Path, sample_ir: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = shared / "data" / "coco-val2017-people"
    few = Annotations.read(people / "person_keypoints.json").first(8)
    (tmp_path / "few.json").write_text(json.dumps(few.data))

    def verify(*arguments: object) -> int:
        common = ("--annotations", tmp_path / "few.json", "--images", people / "images")
        return main(["verify", *map(str, (*arguments, *common))])

    assert verify(sample_onnx, sample_ir, "--json", "--min-agreement", "0.99") == 0
    agreed = json.loads(capsys.readouterr().out)["agreement"]
    assert agreed["people"] + agreed["left_out"] >= 8
    assert agreed["oks"] > 0.999
    assert agreed["ap"]["ap"] > 0.99
    other = shared / "weights" / "litehrnet_wider_naive_18_coco_256x192.safetensors"
    assert verify(sample_onnx, other, "--min-agreement", "0.999") == 1
    told = capsys.readouterr()
    assert "is below 0.999" in one_line(told.err)
    assert "COCO AP with A's keypoints as the truth" in told.out
