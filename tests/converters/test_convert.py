"""Conversion of the sample model: what is written, and that nothing is left when it fails."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgehr.converters import convert as convert_module
from edgehr.converters.compare import compare, comparison_batch
from edgehr.converters.convert import convert, default_path
from edgehr.converters.onnx import simplify as simplify_module
from edgehr.converters.onnx.graph import weight_precision
from edgehr.converters.onnx.target import OnnxTarget
from edgehr.converters.openvino.target import OpenVINOTarget
from edgehr.converters.target import make_target
from edgehr.errors import EdgehrError
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.formats import describe
from edgehr.runtimes.tensors import Tensors
from edgehr.zoo import find_weights
from tests.models.short_lite_hrnet import LITE, WIDER

pytestmark = pytest.mark.slow

SMALL = WIDER.with_size(64, 96)


@pytest.fixture(scope="module")
def reference(sample_card: Any) -> TorchRuntime:
    return TorchRuntime(sample_card, find_weights(sample_card))


@pytest.mark.parametrize("kind", ["sample_onnx", "sample_ir"])
def test_fp32_is_the_same_function(kind: str, request: pytest.FixtureRequest, reference: Any, sample_card: Any) -> None:
    with load(request.getfixturevalue(kind)) as converted:
        difference = compare(sample_card, reference, converted, comparison_batch(sample_card))
    assert difference.relative < 2e-4
    assert difference.relative_mean < 1e-5
    assert difference.keypoints > 100
    assert difference.keypoints_largest < 0.01


@pytest.mark.parametrize(("target", "suffix", "batch"), [("onnx", ".onnx", None), ("openvino", ".xml", 1)])
def test_fp16_is_half_the_size_and_near(
    target: str, suffix: str, batch: int | None, sample_card: Any, tmp_path: Path, sample_onnx: Path
) -> None:
    path = tmp_path / f"half{suffix}"
    report = convert(sample_card, find_weights(sample_card), target, precision="fp16", batch=batch, out=path)
    assert report.precision == "fp16"
    assert "deploy form" in [stage.name for stage in report.stages]
    assert report.difference.keypoints_mean < 0.05
    weights = path.with_suffix(".bin") if target == "openvino" else path
    assert weights.stat().st_size < 0.6 * sample_onnx.stat().st_size
    with load(path) as runtime:
        assert runtime.inputs[0].dtype == runtime.outputs[0].dtype == np.float32
        assert runtime.artifact is not None
        assert runtime.artifact.precision == "fp16"


def test_half_precision_input_and_output_where_asked(short_wider: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    convert(SMALL, short_wider, OnnxTarget(native_io=True), precision="fp16", out=path)
    with load(path) as runtime:
        assert runtime.inputs[0].dtype == runtime.outputs[0].dtype == np.float16
    for target, precision in ((OnnxTarget(native_io=True), "fp32"), (OpenVINOTarget(native_io=True), "fp16")):
        with pytest.raises(EdgehrError, match="need --precision fp16"):
            convert(SMALL, short_wider, target, precision=precision)


def test_the_artifact_describes_itself(sample_onnx: Path, sample_ir: Path, sample_card: Any) -> None:
    for path in (sample_onnx, sample_ir):
        about = describe(path)
        artifact = about["artifact"]
        assert artifact["card"]["name"] == sample_card.name
        assert artifact["card"]["weights"]["origin"] == "sample"
        assert artifact["weights_sha256"] == sample_card.weights.sha256
        assert artifact["form"] == "deploy"
        assert artifact["tools"]["torch"].startswith("2.")
        assert about["operators"]["Conv" if path == sample_onnx else "Convolution"] > 100
        json.dumps(about, allow_nan=False)


def test_onnx_has_dynamic_batch_and_no_traces_of_where_it_was_made(sample_onnx: Path) -> None:
    model = onnx.load(sample_onnx)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert weight_precision(model) == "fp32"
    content = sample_onnx.read_bytes()
    for trace in (str(Path.cwd()), str(Path(sys.prefix)), "stack_trace", "onnxsim."):
        assert trace.encode() not in content, trace


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_the_plain_form_is_the_same_function_in_another_file(
    target: str, short_lite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = default_path(LITE, make_target(target))
    report = convert(LITE, short_lite, target, plain=True)
    assert report.path.stem == f"{usual.stem}-plain"
    assert "deploy form" not in [stage.name for stage in report.stages]
    assert report.difference.relative_mean < 1e-5
    with load(report.path) as runtime:
        assert runtime.artifact is not None
        assert runtime.artifact.form == "plain"


def test_int8_is_not_made_of_the_plain_form(sample_card: Any) -> None:
    with pytest.raises(EdgehrError, match="leave --plain out"):
        convert(sample_card, find_weights(sample_card), "onnx", plain=True, precision="int8")


def test_other_sizes(short_wider: Path, tmp_path: Path) -> None:
    report = convert(SMALL, short_wider, "onnx", out=tmp_path / "small.onnx")
    assert report.model == "litehrnet-short-wider-naive-coco-64x96"
    with load(tmp_path / "small.onnx") as runtime:
        assert runtime.outputs[0].shape == (1, 17, 16, 24)


def test_a_user_s_weights_lose_the_published_metric(short_wider: Path, tmp_path: Path) -> None:
    card = SMALL.with_weights(replace(SMALL.weights, metric="AP 99.9"))
    convert(card, short_wider, "onnx", out=tmp_path / "mine.onnx")
    with load(tmp_path / "mine.onnx") as runtime:
        assert runtime.artifact is not None
        weights = runtime.artifact.card.weights
    assert (weights.origin, weights.metric, weights.file) == ("user", "", short_wider.name)


def test_a_simplifier_that_dies_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short_wider: Path, kept_exports: Any
) -> None:
    killer = tmp_path / "python"
    killer.write_text("#!/bin/sh\nkill -SEGV $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr(simplify_module.sys, "executable", str(killer))
    monkeypatch.setattr(simplify_module, "simplify", kept_exports.originals["simplify"])  # no other test's result
    report = convert(SMALL, short_wider, "onnx", out=tmp_path / "a.onnx")
    assert any("onnxsim ended with status -11" in note for note in report.notes)
    assert (tmp_path / "a.onnx").is_file()


def test_a_conversion_that_differs_is_not_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short_wider: Path
) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(convert_module, "TOLERANCE", {"fp32": 0.0})
    with pytest.raises(EdgehrError, match=r"differs from PyTorch by .* on average.* it was not written"):
        convert(SMALL, short_wider, "onnx", out=path)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_options_are_refused_before_any_work(tmp_path: Path, sample_card: Any) -> None:
    weights = find_weights(sample_card)
    for options, message in (
        ({"target": "tensorflow"}, "unknown target"),
        ({"precision": "fp8"}, "unknown precision"),
        ({"batch": 0}, "batch must be"),
        ({"out": tmp_path / "a.xml"}, r"must end in \.onnx"),
    ):
        with pytest.raises(EdgehrError, match=message):
            convert(sample_card, weights, **{"target": "onnx", **options})  # type: ignore[arg-type]
    with pytest.raises(EdgehrError, match="no such checkpoint"):
        convert(sample_card, tmp_path / "absent.pth", "onnx")


def test_models_of_other_outputs_cannot_be_compared(sample_card: Any, sample_onnx: Path, reference: Any) -> None:
    class Short(Runtime):
        def _infer(self, inputs: Tensors) -> dict[str, Any]:
            return {"heatmaps": np.zeros((len(inputs["image"]), 16, 64, 48), np.float32)}

    with load(sample_onnx) as converted:
        short = Short(converted.inputs, converted.outputs)
        with pytest.raises(EdgehrError, match="cannot be compared"):
            compare(sample_card, reference, short, comparison_batch(sample_card)[:1])
