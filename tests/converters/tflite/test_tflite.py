"""TFLite files as they are written: form, function, and every precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.calib.quantizer.passes import equalization
from edgehr.cli.main import main
from edgehr.converters.compare import compare, comparison_batch
from edgehr.converters.convert import check_difference, convert
from edgehr.converters.tflite.metadata import embed
from edgehr.converters.tflite.rewrite import pad_rows
from edgehr.converters.tflite.target import TFLiteTarget
from edgehr.converters.tflite.writer import write_float
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.files import sha256_file
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes import load
from edgehr.runtimes.formats import format_of
from edgehr.runtimes.tflite.delegates import check_delegate
from edgehr.runtimes.tflite.graph import read_graph
from edgehr.tasks.difference import OutputDifference
from edgehr.zoo import find_weights
from tests.made_once import KeptExports
from tests.models.narrow_hrnet import CARD
from tests.models.short_lite_hrnet import LITE

pytestmark = pytest.mark.slow

# What the deploy form of Lite-HRNet and HRNet consist of; all of it delegates take.
OPERATORS = {
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "LOGISTIC",
    "MEAN",
    "MUL",
    "PAD",
    "RELU",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "SLICE",
}


@pytest.fixture(scope="module")
def reference(sample_card: Any) -> TorchRuntime:
    return TorchRuntime(sample_card, find_weights(sample_card))


@pytest.fixture(scope="module")
def content(sample_tflite: Path) -> bytes:
    return sample_tflite.read_bytes()


def check_form(path: Path, height: int = 256, width: int = 192) -> set[str]:
    """Rank, layout, signature, names; returns the types of its operators."""
    graph = read_graph(path)
    tensors = [t for operator in graph.operators for t in (*operator.inputs, *operator.outputs) if t is not None]
    assert max(len(tensor.shape) for tensor in tensors) <= 4
    with load(path) as runtime:
        assert [(spec.name, spec.shape) for spec in runtime.inputs] == [("image", (1, height, width, 3))]
        assert [(spec.name, spec.shape) for spec in runtime.outputs] == [("heatmaps", (1, height // 4, width // 4, 17))]
        assert runtime.artifact is not None
        assert runtime.artifact.card.layout == "nhwc"
    assert graph.signatures == ("serving_default",)
    return {operator.name for operator in graph.operators}


def difference(path: Path, reference: TorchRuntime, card: Any) -> OutputDifference:
    with load(path) as converted:
        return compare(card, reference, converted, comparison_batch(card))


def test_the_file_has_the_form_that_delegates_want(sample_tflite: Path) -> None:
    assert check_form(sample_tflite) <= OPERATORS
    graph = read_graph(sample_tflite)
    for delegate, most in (("gpu", 0.0), ("xnnpack", 0.0)):
        assert check_delegate(graph, delegate).refused_share <= most
    assert not check_delegate(graph, "gpu").refused


def test_fp32_is_the_same_function(sample_tflite: Path, reference: Any, sample_card: Any) -> None:
    found = difference(sample_tflite, reference, sample_card)
    # PyTorch itself is 0.7e-4 (largest) from its own float64 on these crops.
    assert found.relative < 1.5e-4
    assert found.relative_mean < 1e-6
    assert found.keypoints_largest == 0


def test_half_weights(content: bytes, sample_graph: Any, tmp_path: Path, reference: Any, sample_card: Any) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(_described(write_float(sample_graph, sample_card.with_layout("nhwc"), "fp16"), sample_card))
    assert check_form(path) <= OPERATORS | {"DEQUANTIZE"}
    assert len(path.read_bytes()) < 0.6 * len(content)
    assert difference(path, reference, sample_card).keypoints_mean < 0.05
    with load(path) as runtime:
        assert runtime.precision == "fp32"  # the file does not let CPUs compute in less
        assert runtime.require_artifact().precision == "fp16"


def test_rows_are_padded_for_arm(content: bytes, tmp_path: Path, sample_card: Any) -> None:
    path, usual = tmp_path / "rows.tflite", tmp_path / "usual.tflite"
    path.write_bytes(_described(pad_rows(content), sample_card))
    usual.write_bytes(_described(content, sample_card))
    paddings = [operator for operator in read_graph(path).operators if operator.name == "PAD"]
    assert len(paddings) == 45
    for operator in paddings:
        assert operator.inputs[0] is not None
        assert operator.inputs[0].shape[1] == 1
    assert check_form(path) <= OPERATORS
    crops = comparison_batch(sample_card)[:2].transpose(0, 2, 3, 1).copy()
    with load(path) as rows, load(usual) as pixels:
        np.testing.assert_array_equal(*(runtime.infer_batch(crops)["heatmaps"] for runtime in (rows, pixels)))


def test_dynamic_range(content: bytes, sample_graph: Any, tmp_path: Path, reference: Any, sample_card: Any) -> None:
    path = tmp_path / "dynamic.tflite"
    path.write_bytes(
        _described(write_float(sample_graph, sample_card.with_layout("nhwc"), "dynamic-int8"), sample_card)
    )
    assert check_form(path) <= OPERATORS
    assert len(path.read_bytes()) < 0.4 * len(content)
    assert difference(path, reference, sample_card).correlation > 0.8
    with load(path) as runtime:
        assert runtime.precision == "dynamic-int8"


@pytest.mark.parametrize("integer_io", [False, True])
def test_full_integer(
    integer_io: bool,
    sample_static_int8: Callable[[bool], bytes],
    tmp_path: Path,
    reference: Any,
    sample_card: Any,
) -> None:
    path = tmp_path / "int8.tflite"
    path.write_bytes(_described(sample_static_int8(integer_io), sample_card))
    assert check_form(path) <= OPERATORS | {"QUANTIZE", "DEQUANTIZE"}
    graph = read_graph(path)
    kind = "int8" if integer_io else "float32"
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {kind}
    convolutions = [operator for operator in graph.operators if operator.name.endswith("CONV_2D")]
    assert {operator.outputs[0].dtype for operator in convolutions} == {"int8"}
    assert difference(path, reference, sample_card).correlation > 0.8
    with load(path) as runtime:
        assert runtime.precision == "int8"


def test_channels_first_where_asked(tmp_path: Path, narrow_hrnet: Path) -> None:
    path = tmp_path / "first.tflite"
    card = CARD.with_size(64, 64)
    convert(card, narrow_hrnet, TFLiteTarget(layout="nchw"), batch=2, out=path)
    with load(path) as runtime:
        assert runtime.inputs[0].shape == (2, 3, 64, 64)
        assert runtime.outputs[0].shape == (2, 17, 16, 16)
    graph = read_graph(path)
    ends = {graph.inputs[0].index, graph.outputs[0].index}
    transposes = [operator for operator in graph.operators if operator.name == "TRANSPOSE"]
    for operator in transposes:
        assert operator.inputs[0] is not None
        assert {operator.inputs[0].index, operator.outputs[0].index} & ends
    assert len(transposes) == 2
    assert difference(path, TorchRuntime(card, narrow_hrnet), card).relative_mean < 1e-5


def test_conditional_channel_weighting_has_the_same_form(short_lite: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    convert(LITE, short_lite, "tflite", out=path)
    assert check_form(path, 128, 96) <= OPERATORS
    assert not check_delegate(read_graph(path), "gpu").refused
    assert difference(path, TorchRuntime(LITE, short_lite), LITE).relative < 1.5e-4


def test_hrnet_has_the_same_form(tmp_path: Path, narrow_hrnet: Path) -> None:
    path = tmp_path / "model.tflite"
    report = convert(CARD, narrow_hrnet, "tflite", out=path)
    assert check_form(path, 128, 96) <= OPERATORS
    assert not check_delegate(read_graph(path), "gpu").refused
    assert report.difference is not None
    assert report.difference.relative < 1e-4


def test_half_precision_keeps_the_accuracy(
    few_people: tuple[Path, Path], sample_graph: Any, sample_card: Any, tmp_path: Path
) -> None:
    half = tmp_path / "half.tflite"
    half.write_bytes(_described(write_float(sample_graph, sample_card.with_layout("nhwc"), "fp16"), sample_card))
    with load(half) as runtime:
        evaluator = Evaluator.for_card(runtime.card)
        found = evaluator.evaluate(runtime, evaluator.read(*few_people)).headline
    assert found == pytest.approx(0.5781, abs=0.002)  # of float32 (tests/evaluation/test_accuracy.py)


def test_int8_through_the_command_line(
    tmp_path: Path,
    shared: Path,
    short_lite: Path,
    kept_exports: KeptExports,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole way, for the network whose passing channels have weights of one, which INT8 must be able to hold."""
    monkeypatch.setattr(equalization, "STEPS", 20)  # of 250: what is tested here is the way, not its end
    people = shared / "data" / "coco-train2017-people"
    path = tmp_path / "int8 ends.tflite"
    (tmp_path / "card.json").write_text(json.dumps(LITE.to_dict()))

    def told(*arguments: object) -> str:
        assert main([*map(str, arguments)]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    report = json.loads(
        told(
            *("convert", tmp_path / "card.json", "--weights", short_lite, "--size", "64x64", "--out", path, "--json"),
            *("--to", "tflite", "--precision", "int8", "--int8-io", "--calib", people / "person_keypoints.json"),
            *("--calib-crops", 64),
        )
    )
    assert report["precision"] == "int8"
    assert report["difference"]["correlation"] > 0.75
    about = json.loads(told("inspect", path, "--json"))
    assert about["inputs"][0]["dtype"] == "int8"
    assert about["inputs"][0]["scale"] > 0
    manifest = tmp_path / "int8 ends.tflite.calibration.json"
    assert about["artifact"]["calibration_sha256"] == sha256_file(manifest)
    assert len(json.loads(manifest.read_text())["crops"]) == 64
    images = len(about["artifact"]["calibration_images"])
    assert f"{images} images, manifest" in told("inspect", path)
    annotations = people / "person_keypoints.json"
    assert main(["eval", str(path), "--annotations", str(annotations), "--images", str(people / "images")]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "calibrated" in line]
    assert f"({images} of the 100 images given)" in line
    assert {node.int8 for node in format_of(path).coverage(path).nodes} == {True}


def test_empty_and_mixed_up_heatmaps_do_not_pass_as_quantized() -> None:
    for correlation in (0.0, 0.3, float("nan")):
        difference = OutputDifference(
            largest=1,
            mean=0.1,
            reference_std=1,
            relative=1,
            relative_mean=0.1,
            correlation=correlation,
            crops=10,
        )
        with pytest.raises(EdgehrError, match="correlates with PyTorch's by"):
            check_difference("some model", "PyTorch", "int8", difference)


def test_what_cannot_be_is_said_before_the_work(sample_card: Any, tmp_path: Path) -> None:
    weights = find_weights(sample_card)
    for target, precision, batch, message in (
        (TFLiteTarget(), "int8", 1, "--calib"),
        (TFLiteTarget(), "fp32", None, "fixed batch"),
        (TFLiteTarget(native_io=True), "fp16", 1, "need --precision int8"),
        (TFLiteTarget(arm_cpu=True), "fp32", 1, "--arm-cpu goes with --precision fp16 or int8"),
        (TFLiteTarget(arm_cpu=True, float16_arithmetic=False), "fp16", 1, "without --float32-arithmetic"),
        ("onnx", "dynamic-int8", 1, "unknown precision 'dynamic-int8' for onnx"),
    ):
        with pytest.raises(EdgehrError, match=message):
            convert(sample_card, weights, target, precision=precision, batch=batch, out=tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())


def _described(content: bytes, card: Any) -> bytes:
    from edgehr.runtimes import Artifact

    return embed(content, Artifact(card.with_layout("nhwc"), "", "ab" * 32, {"numpy": np.__version__}))
