"""`edgehr report` as users meet it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.other_quantizers import quantize_with
from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.cli.main import main
from edgehr.evaluation.annotations import Annotations
from tests.converters.report.small_graphs import annotated, float_model, quantized, save
from tests.models.short_lite_hrnet import WIDER


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network in float32 and INT8, and people, in one folder."""
    folder = tmp_path_factory.mktemp("small")
    save(float_model(), folder / "m-fp32.onnx")
    quantized(folder / "m-fp32.onnx", folder / "m-int8.onnx", leave=("head",))
    annotated(folder)
    return folder


def test_the_table_the_page_and_json(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["report", str(small / "m-fp32.onnx"), str(small / "m-int8.onnx"), "--rounds", "2"]
    command += ["--annotations", str(small / "people.json"), "--people", "2"]
    assert main([*command, "--out", str(tmp_path / "r.html")]) == 0
    shown = capsys.readouterr().out
    assert "2 people in 1 images" in shown
    lines = [re.split("  +", line.strip()) for line in shown.splitlines()]
    assert ["fp32.onnx", "int8.onnx"] in lines
    assert ["precision", "fp32", "int8"] in lines
    assert ["stay in float", "6 of 6", "1 of 5"] in lines
    assert "in float in int8.onnx:" in shown
    assert "written: " in shown
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in told["artifacts"]] == ["fp32.onnx", "int8.onnx"]
    assert told["artifacts"][1]["agreement"]["people"] == 2
    assert told["page"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.onnx", "absent.xml", "--annotations", "a"], "absent.onnx: no such model file"),
        (["m-fp32.onnx", "m-int8.onnx", "--annotations", "absent.json"], "absent.json: cannot read it"),
        (["m-fp32.onnx", "m-int8.onnx", "--annotations", "people.json", "--out", "r.pdf"], "must end in .html"),
        (["m-fp32.onnx", "m-int8.onnx", "--annotations", "people.json", "--out", "images"], "must end in .html"),
        (["m-fp32.onnx", "m-int8.onnx", "--annotations", "people.json", "--images", "."], "0.png: the annotation file"),
        (["m-fp32.onnx", "people.json", "--annotations", "people.json"], "unknown kind of model"),
    ],
)
def test_expected_failures_are_one_line_and_write_nothing(
    arguments: list[str],
    message: str,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(small)
    before = sorted(small.iterdir())
    assert main(["report", *arguments]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("edgehr report: ")
    assert message in line
    assert sorted(small.iterdir()) == before


@pytest.mark.parametrize("arguments", [["a"], ["a", "b"], ["a", "b", "--annotations", "c", "--people", "0"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report", *arguments])
    assert caught.value.code == 2
    assert "usage: edgehr report" in capsys.readouterr().err


@pytest.fixture
def people(shared: Path) -> tuple[Any, ...]:
    """Options that name annotated people, few of them."""
    source = shared / "data" / "coco-val2017-people" / "person_keypoints.json"
    return "--annotations", source, "--people", 15, "--rounds", 1, "--threads", 1


def told_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert main(["report", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["artifacts"]


@pytest.mark.slow
def test_the_sample_model_on_annotated_people(
    sample_onnx: Path, sample_ir: Path, shared: Path, people: tuple[Any, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    first, ir = told_of(capsys, sample_onnx, sample_ir, *people)
    folder = shared / "data" / "coco-val2017-people"
    few = Annotations.read(folder / "person_keypoints.json").first(15)
    assert first["accuracy"]["people"] == sum(len(image.boxes) for image in few.ground_truth(folder / "images")) >= 15
    assert ir["accuracy"]["ap"] == pytest.approx(first["accuracy"]["ap"], abs=0.02)
    assert first["accuracy"]["ap"] > 0.4
    assert ir["agreement"]["oks"] > 0.99
    assert ir["coverage"]["macs"] == first["coverage"]["macs"] > 2e8
    assert ir["coverage"]["int8_share_executed"] == first["coverage"]["int8_share"] == 0


@pytest.mark.slow
def test_float_of_two_kinds_and_int8_on_annotated_people(
    converted: Callable[..., Path],
    short_wider: Path,
    shared: Path,
    people: tuple[Any, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """INT8 is what ONNX Runtime's quantizer makes of the one with all operators in INT8."""
    source = converted("short-wider.onnx", WIDER, short_wider, "onnx")
    ir = converted("short-wider.xml", WIDER, short_wider, "openvino")
    crops = CalibrationSet.of(shared / "data" / "coco-train2017-people" / "person_keypoints.json", max_crops=32)
    quantize_with("ort-minmax", source, crops, tmp_path / "int8.onnx")
    first, small, ir = told_of(capsys, source, tmp_path / "int8.onnx", ir, *people, "--out", tmp_path / "r.html")
    assert ir["agreement"]["oks"] > 0.99
    assert ir["coverage"]["int8_share_executed"] == 0
    assert small["agreement"]["oks"] < ir["agreement"]["oks"]
    assert small["coverage"]["int8_share"] > 0.9
    assert first["coverage"]["int8_share"] == 0
    assert small["coverage"]["macs"] == first["coverage"]["macs"] > 4e7
    assert len(small["layers"]) > 100
    assert np.median([layer["sqnr_db"] for layer in small["layers"]]) < 40
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<img ") >= 3
    assert "https:" not in page
