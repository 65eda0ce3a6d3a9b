"""The table of docs/research/quantization-experiments.md and what makes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import quant_report
from benchmarks.other_quantizers import QUANTIZERS, float_convolutions, quantize_with
from benchmarks.quant_report import Row, markdown
from edgehr.benchmark.timing import Latency
from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.converters.report.results import MeasuredArtifact
from edgehr.evaluation.keypoints.agreement import KeypointAgreement
from edgehr.evaluation.keypoints.ap import KeypointMetrics
from edgehr.runtimes import load
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.coverage import Coverage, Node
from edgehr.runtimes.formats import format_of
from tests.converters.report.small_graphs import CARD, float_model, quantized, save
from tests.made_once import KeptExports
from tests.models.short_lite_hrnet import WIDER


def measured(
    size: int, ap: float, *, oks: float | None = None, truth: float = 0.95, tool: str = "onnx"
) -> MeasuredArtifact:
    alike = None if oks is None else KeypointAgreement(oks, 10, 100, 0, KeypointMetrics(truth, 1, 1, 1, 1, 1, 10, 5))
    nodes = [Node("one", "Conv", 90, oks is not None), Node("two", "Conv", 10, False)]
    return MeasuredArtifact(
        label="",
        path=Path("x.onnx"),
        artifact=Artifact(CARD, "int8", "0" * 64, {tool: "1.2"}),
        runtime="",
        size_bytes=size,
        operators=1,
        coverage=Coverage(tuple(nodes)),
        accuracy=KeypointMetrics(ap, 1, 1, 1, 1, 1, 10, 5),
        agreement=alike,
        similarity=np.ones(10),
        latency=Latency(1.0, 1.0, 1.0, 1),
    )


def test_each_format_is_compared_with_its_own_float32() -> None:
    rows = [
        Row("ONNX", "float32", {"a": measured(1000, 0.6), "b": measured(2000, 0.02)}),
        Row("ONNX", "edgehr", {"a": measured(350, 0.597, oks=0.968), "b": measured(800, 0.021, oks=0.94, truth=0.88)}),
        Row("TFLite", "float32", {"a": measured(2000, 0.6), "b": measured(2000, 0.02)}),
        Row("TFLite", "edgehr", {"a": measured(500, 0.59, oks=0.9), "b": measured(500, 0.02, oks=0.9, tool="nncf")}),
    ]
    text = markdown(rows, "3 people.", {"a": "first model", "b": "second model"})
    lines = text.splitlines()
    assert lines[:3] == ["3 people.", "(a) first model.", "(b) second model."]
    assert lines[3] == "Versions: nncf 1.2."
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[5:]]
    assert cells[0][2:5] == ["AP (a)", "mean OKS (a)", "AP with float as truth (a)"]
    assert cells[3] == [
        *("ONNX", "edgehr", "59.70", "0.968", "95.0", "2.10", "0.940", "88.0"),
        *("0.35, 0.40", "90.0 %, 90.0 %", "1.00, 1.00"),
    ]
    assert cells[2][2:5] == ["60.00", "", ""]
    assert cells[5][8] == "0.25, 0.25"
    assert len({len(row) for row in cells}) == 1


def test_missing_data_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quant_report.main(["--shared", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"quant-report: {tmp_path / 'data' / 'coco-train2017-people'}")
    assert "not there; SHARED= names the folder" in line
    assert not (tmp_path / "out").exists()


def test_artifacts_older_than_what_makes_them_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    assert quant_report._is_old(path)
    path.touch()
    assert not quant_report._is_old(path)
    os.utime(path, (0, 0))
    assert quant_report._is_old(path)


@pytest.mark.slow
def test_others_keep_in_float_what_they_are_told_and_say_who_they_are(shared: Path, tmp_path: Path) -> None:
    source = save(float_model(), tmp_path / "float32.onnx")
    crops = CalibrationSet.of(shared / "data" / "coco-train2017-people" / "person_keypoints.json", max_crops=32)
    own = quantized(source, tmp_path / "own.onnx", leave=("head",))
    assert float_convolutions(own, source) == ["head"]
    quantize_with("ort-minmax", source, crops, tmp_path / "int8.onnx", ["head"])
    coverage = format_of("int8.onnx").coverage(tmp_path / "int8.onnx")
    assert coverage is not None
    assert [node.name for node in coverage.nodes if not node.int8] == ["head"]
    with load(tmp_path / "int8.onnx") as runtime:
        artifact = runtime.artifact
    assert artifact is not None
    assert artifact.recipe == "onnxruntime, MinMax"
    assert artifact.calibration_sha256 == crops.sha256
    for name in ("ort-minmax-convolutions", "ort-percentile-convolutions"):
        quantize_with(name, source, crops, tmp_path / "convolutions.onnx", ["head"])
        coverage = format_of("int8.onnx").coverage(tmp_path / "convolutions.onnx")
        assert coverage is not None
        assert [node.name for node in coverage.nodes if node.int8] == ["first", "depth"]


@pytest.mark.slow
def test_a_table_of_a_few_people_is_made_and_made_again_from_what_is_kept(
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kept_exports: KeptExports,
    short_wider: Path,
) -> None:
    from edgehr.calib.quantizer.passes import equalization
    from edgehr.calib.recipes import QDQRecipe
    from edgehr.converters import int8

    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(equalization, "STEPS", 2)
    monkeypatch.setattr(quant_report, "ROUNDS", 1)
    few = QDQRecipe("few", equalize_crops=4, range_crops=4, fit_crops=4)
    monkeypatch.setattr(int8, "recipe_for", lambda card, name: few)
    monkeypatch.setattr(quant_report, "get_card", lambda name: WIDER)
    monkeypatch.setitem(quant_report.MODELS, "a", (WIDER.name, str(short_wider)))  # whole paths stay as they are
    arguments: list[Any] = ["--shared", shared, "--out", tmp_path / "out", "--models", "a", "--formats", "tensorrt"]
    arguments += ["--people", 2, "--crops", 32]
    assert quant_report.main(list(map(str, arguments))) == 0
    first = capsys.readouterr()
    assert "INT8 by edgehr" in first.err
    assert "calibrated on 32 crops" in first.out
    rows = [line for line in first.out.splitlines() if line.startswith("| ONNX, symmetric")]
    assert [row.split("|")[2].strip() for row in rows] == ["float32", "edgehr"]
    monkeypatch.setattr(quant_report, "convert", None)
    assert quant_report.main(list(map(str, arguments))) == 0
    again = capsys.readouterr().out
    assert (
        [line.split("|")[:-2] for line in again.splitlines()]
        == [  # the last column is timed anew
            line.split("|")[:-2] for line in first.out.splitlines()
        ]
    )


def test_every_quantizer_that_a_format_is_compared_with_is_known() -> None:
    assert {name for form in quant_report.FORMATS.values() for name in form.others} == set(QUANTIZERS)
