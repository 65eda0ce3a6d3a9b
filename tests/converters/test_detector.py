"""Conversion of the detector, which starts from an ONNX graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgehr.assets import photographs
from edgehr.card import ModelCard
from edgehr.converters import convert as convert_module
from edgehr.converters.compare import compare, comparison_batch
from edgehr.converters.convert import convert
from edgehr.converters.onnx.target import OnnxTarget
from edgehr.converters.source import OnnxSource, open_source
from edgehr.converters.tensorrt.target import TensorRTTarget
from edgehr.errors import CheckpointError, EdgehrError
from edgehr.live.predictors.detectors import PersonDetector
from edgehr.runtimes import load
from edgehr.runtimes.formats import describe
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.sidecar import read_sidecar
from edgehr.tasks.detection.task import BoxDifference
from edgehr.zoo import get_card

CARD = get_card("yolox-nano-coco-416x416")


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "detectors" / "yolox_nano_416.onnx"


def detections(path: Path) -> list[Any]:
    card = CARD if path.name == "yolox_nano_416.onnx" else None  # what was converted brings its own
    with PersonDetector(path, threads=1, card=card) as detector:
        return [detector(cv2.imread(str(photograph))) for photograph in photographs()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "suffix", "precision"),
    [
        (target, suffix, precision)
        for target, suffix in (("onnx", ".onnx"), ("openvino", ".xml"), ("tflite", ".tflite"))
        for precision in ("fp32", "fp16")
    ],
)
def test_artifacts_find_the_same_people(
    target: str, suffix: str, precision: str, weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"detector{suffix}"
    report = convert(CARD, weights, target, precision=precision, out=path)
    assert report.precision == precision
    assert report.reference == "the given ONNX"
    difference = report.difference
    assert isinstance(difference, BoxDifference)
    assert difference.boxes > 50
    assert difference.boxes_mean < (0.01 if precision == "fp32" else 0.5)
    assert difference.scores_largest < (1e-3 if precision == "fp32" else 0.05)
    json.dumps(report.to_dict(), allow_nan=False)
    for one, two in zip(detections(weights), detections(path), strict=True):
        assert len(one) == len(two) == 1
        assert np.abs(one.boxes - two.boxes).max() < (0.1 if precision == "fp32" else 3)


@pytest.mark.slow
def test_the_artifact_carries_its_card(detector_ir: Path, weights: Path, tmp_path: Path) -> None:
    convert(CARD, weights, "onnx", out=tmp_path / "detector.onnx")
    for path in (detector_ir, tmp_path / "detector.onnx"):
        artifact = describe(path)["artifact"]
        card = ModelCard.from_dict(artifact["card"])
        assert card.name == CARD.name
        assert card.spec == CARD.spec
        assert card.weights.origin == "published"  # another export of the weights that the card names
        assert artifact["weights_sha256"] == card.weights.sha256
        assert "torch" not in artifact["tools"]
        json.dumps(artifact)


@pytest.mark.slow
def test_bundles_and_plans(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (no build for this platform)")
    bundle = tmp_path / "detector.trtbundle"
    convert(CARD, weights, "trt-bundle", out=bundle)
    assert Bundle.read(bundle).artifact.card.spec == CARD.spec
    plan = tmp_path / "detector.plan"
    report = convert(CARD, weights, TensorRTTarget(library="tensorrt_rtx"), precision="fp16", out=plan)
    assert any("compared with the given ONNX" in note for note in report.notes)
    sidecar = read_sidecar(plan)
    assert sidecar.precisions == {"fp16": 113}
    assert sidecar.inputs == {"images": [1, 3, 416, 416]}
    assert sidecar.outputs == {"output": [1, 3549, 85]}
    assert sidecar.artifact.card.spec == CARD.spec


@pytest.mark.slow
def test_half_precision_input_and_output(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    convert(CARD, weights, OnnxTarget(native_io=True), precision="fp16", out=path)
    with load(path) as runtime:
        assert runtime.inputs[0].dtype == runtime.outputs[0].dtype == np.float16
    assert [len(found) for found in detections(path)] == [1, 1]


@pytest.mark.slow
def test_a_conversion_that_differs_is_not_written(
    monkeypatch: pytest.MonkeyPatch, weights: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(convert_module, "TOLERANCE", {"fp16": 0.0})
    with pytest.raises(EdgehrError, match=r"differs from the given ONNX by .* it was not written"):
        convert(CARD, weights, "onnx", precision="fp16", out=tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_line_converts_and_inspects(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgehr.cli.main import main

    monkeypatch.chdir(tmp_path)
    assert main(["convert", CARD.name, "--to", "openvino", "--weights", str(weights)]) == 0
    told = capsys.readouterr()
    for stage in ("check the graph", "compare with the given ONNX"):
        assert stage in told.err
    for word in ("published weights", "candidate boxes"):
        assert word in told.out
    assert main(["inspect", f"artifacts/{CARD.name}-fp32.xml"]) == 0
    shown = capsys.readouterr().out
    for word in ("detection", "80: person, bicycle", "gray 114", "strides 8, 16, 32"):
        assert word in shown
    assert "heatmaps" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "tflite", "--precision", "int8", "--calib", "."], "comes as ONNX, without a PyTorch network"),
        (["--to", "onnx", "--decoding", "dark"], "returns no heatmaps"),
        (["--to", "onnx", "--batch", "dynamic"], "convert it with --batch 1"),
        (["--to", "onnx", "--batch", "2"], "convert it with --batch 1"),
        (["--to", "onnx", "--size", "320x320"], "does not fit yolox-nano-coco-320x320"),
    ],
)
def test_what_a_graph_cannot_do_is_said(
    arguments: list[str], message: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgehr.cli.main import main

    out = tmp_path / f"a.{arguments[1]}"
    assert main(["convert", CARD.name, "--weights", str(weights), "--out", str(out), *arguments]) == 1
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def graph(columns: int = 85, name: str = "output", kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A model with the input of YOLOX-nano, and an output of zeros."""
    image = helper.make_tensor_value_info("images", kind, [1, 3, 416, 416])
    output = helper.make_tensor_value_info(name, kind, [1, 3549, columns])
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [1, 3549, columns])
    node = helper.make_node("ConstantOfShape", ["shape"], [name])
    return helper.make_model(helper.make_graph([node], "g", [image], [output], [shape]), ir_version=8)


@pytest.mark.parametrize("model", [graph(columns=84), graph(name="boxes"), graph(kind=TensorProto.FLOAT16)])
def test_graphs_that_do_not_fit_the_card_are_refused(model: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match="does not fit yolox-nano-coco-416x416"):
        open_source(CARD, path)


def test_files_that_are_no_graph_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(b"not a graph at all")
    with pytest.raises(CheckpointError, match=r"weights\.onnx: onnx cannot read it"):
        open_source(CARD, path)


def test_nobody_seen_is_said_and_comparable(tmp_path: Path) -> None:
    path = tmp_path / "zeros.onnx"
    onnx.save(graph(), path)
    source = open_source(CARD, path)
    assert isinstance(source, OnnxSource)
    difference = compare(CARD, source.reference, source.reference, comparison_batch(CARD)[:2])
    assert isinstance(difference, BoxDifference)
    assert difference.boxes == 0
    assert difference.to_dict()["boxes_mean"] is None
    assert "nothing is found" in str(difference)


def test_a_detector_is_compared_on_whole_windows() -> None:
    batch = comparison_batch(CARD)
    assert batch.shape == (10, 3, 416, 416)
    assert (batch[1, :, -1, -1] == 114).all()  # a wide window leaves gray below
