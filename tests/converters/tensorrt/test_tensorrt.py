"""Whole networks through the real TensorRT-RTX parser and builder, and the same graphs on ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgehr.cli.main import main
from edgehr.converters.compare import comparison_batch
from edgehr.converters.onnx.float16 import overflowing_nodes, to_fp16
from edgehr.converters.tensorrt.graph import fold_integer_biases, is_quantized
from edgehr.converters.tensorrt.target import TensorRTTarget
from edgehr.models.build import load as load_network
from edgehr.models.deploy.rewrite import deploy
from edgehr.runtimes.tensorrt.build import build_plan
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.library import Library, import_library
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.runtimes.tensorrt.sidecar import read_sidecar
from edgehr.zoo import DEFAULT_MODEL
from tests.made_once import KeptExports
from tests.models.narrow_hrnet import CARD
from tests.models.short_lite_hrnet import LITE
from tests.runtimes.small_models import conv_model

pytestmark = pytest.mark.slow

CARDS = {card.name: card for card in (LITE, CARD)}


@pytest.fixture(scope="module")
def rtx() -> Library:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (no build for this platform)")
    return import_library("tensorrt_rtx")


@pytest.fixture(scope="module", params=CARDS)
def graph(request: pytest.FixtureRequest, kept_exports: KeptExports) -> Any:
    """A card and its exported graph, of batch one, in TensorRT's form; Lite-HRNet has trained weights."""
    card = CARDS[request.param]
    network = load_network(card, request.getfixturevalue("narrow_hrnet" if card is CARD else "short_lite"))
    return card, kept_exports.simplified(deploy(network, TensorRTTarget().form())[0], card, 1)[0]


def convolutions(model: Any) -> int:
    return sum(node.op_type == "Conv" for node in model.graph.node)


def test_fp32_and_fp16_are_built_in_the_precision_of_the_graph(graph: Any, rtx: Library) -> None:
    card, model = graph
    count = convolutions(model)
    single = build_plan(model.SerializeToString(), rtx, BuildSettings())
    assert single.precisions == {"fp32": count}
    cast, kept = to_fp16(model, [{"image": comparison_batch(card)[:2]}])
    half = build_plan(cast.SerializeToString(), rtx, BuildSettings())
    kept_convolutions = sum(node.op_type == "Conv" and node.name in kept for node in model.graph.node)
    assert half.precisions.get("fp32", 0) == kept_convolutions
    assert half.precisions["fp16"] == count - kept_convolutions > 0.9 * count
    assert half.inputs == {"image": [1, 3, 128, 96]}
    assert len(half.data) < len(single.data)


def test_dynamic_batch_is_built_with_its_profile(sample_onnx: Path, rtx: Library) -> None:
    model = onnx.load(sample_onnx)
    plan = build_plan(model.SerializeToString(), rtx, BuildSettings(1, 2, 4, compute_capabilities=("8.9",)))
    assert plan.inputs == {"image": [-1, 3, 256, 192]}
    assert plan.profiles["image"] == [[size, 3, 256, 192] for size in (1, 2, 4)]
    assert plan.precisions == {"fp32": convolutions(model)}


def quantized(card: Any, model: Any, folder: Path) -> Any:
    """Explicit Q/DQ INT8 by ONNX Runtime's quantizer on real crops, INT32 biases included."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.crops = iter(comparison_batch(card))

        def get_next(self) -> dict[str, np.ndarray] | None:
            crop = next(self.crops, None)
            return None if crop is None else {"image": crop[None]}

    onnx.save(model, folder / "float.onnx")
    quantize_static(
        str(folder / "float.onnx"),
        str(folder / "int8.onnx"),
        Crops(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv"],
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )
    return onnx.load(folder / "int8.onnx")


@pytest.mark.parametrize("graph", [CARD.name], indirect=True)
def test_a_quantized_graph_is_built_in_int8(graph: Any, rtx: Library, tmp_path: Path) -> None:
    card, model = graph
    int8 = quantized(card, model, tmp_path)
    assert is_quantized(int8)
    assert fold_integer_biases(int8) > 0
    onnx.checker.check_model(int8, full_check=True)
    plan = build_plan(int8.SerializeToString(), rtx, BuildSettings())
    assert plan.precisions == {"int8": convolutions(model)}


def test_an_onnx_artifact_and_its_bundle_build_through_the_command_line(
    sample_onnx: Path, tmp_path: Path, edgehr_command: Any
) -> None:
    done = edgehr_command("build", sample_onnx, "--out", tmp_path / "a.plan", "--profile", "1,2,4", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["precisions"] == {"fp32": 270}
    assert result["profiles"]["image"][2] == [4, 3, 256, 192]
    sidecar = read_sidecar(tmp_path / "a.plan")
    assert sidecar.artifact.card.name == DEFAULT_MODEL
    assert sidecar.artifact.card.weights.origin == "sample"
    for arguments, message in (
        (("build", tmp_path / "a.plan"), "expected a .trtbundle"),
        (("build", tmp_path / "absent.trtbundle"), "no such bundle"),
        (("build", sample_onnx, "--out", tmp_path / "a.xml"), "must end in .plan"),
        (("build", sample_onnx, "--profile", "4,2,1"), "1 <= min <= opt <= max"),
    ):
        failed = edgehr_command(*arguments)
        assert failed.returncode == 1
        assert message in failed.stderr
        assert len(failed.stderr.strip().splitlines()) == 1


def test_make_trt_s_command_writes_a_plan_and_a_bundle(
    short_lite: Path, tmp_path: Path, kept_command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "card.json").write_text(json.dumps(LITE.to_dict()))
    from_weights = ("convert", tmp_path / "card.json", "--weights", short_lite)
    done = kept_command(*from_weights, "--to", "tensorrt", "--precision", "fp16", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for stage in ("cast to fp16", "write tensorrt fp16"):
        assert stage in done.stderr, done.stderr
    for word in (" fp16 (parsed network)", "tensorrt_rtx", "user weights"):
        assert word in done.stdout, done.stdout
    plan = tmp_path / "artifacts" / f"{LITE.name}-fp16.plan"
    assert sorted(path.name for path in plan.parent.iterdir()) == [plan.name, f"{plan.name}.json"]
    assert main(["inspect", str(plan)]) == 0
    assert " fp16 (parsed network)" in capsys.readouterr().out
    assert main(["demo", "--model", str(plan)]) == 1
    assert "cannot run a plan here" in capsys.readouterr().err
    bundled = kept_command(*from_weights, "--to", "trt-bundle", "--out", tmp_path / "a.trtbundle")
    assert bundled.returncode == 0, bundled.stderr
    assert Bundle.read(tmp_path / "a.trtbundle").artifact.card.name == LITE.name


@pytest.mark.parametrize("batch", [1, 5])
def test_nodes_that_would_overflow_stay_in_float32(batch: int) -> None:
    model = conv_model(batch)
    crops = np.ones((2, 3, 8, 8), np.float32)
    assert overflowing_nodes(model, [{"image": crops}]) == []
    weight = 1e5 * numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "weight"))
    cast, kept = to_fp16(model, [{"image": crops}])
    assert kept == ["mix", "cut"]
    import onnxruntime as ort

    session = ort.InferenceSession(cast.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"image": np.ones((batch, 3, 8, 8), np.float32)})
    assert np.isfinite(result).all()
    assert result.max() > 65504


def test_fp16_keeps_the_accuracy(
    few_people: tuple[Path, Path], sample_card: Any, sample_onnx: Path, tmp_path: Path
) -> None:
    """The very graph that TensorRT gets, run by ONNX Runtime."""
    from edgehr.converters.onnx.graph import embed
    from edgehr.evaluation.base import Evaluator
    from edgehr.runtimes import Artifact, load

    evaluator = Evaluator.for_card(sample_card)
    dataset = evaluator.read(*few_people)
    model = onnx.load(sample_onnx)
    del model.metadata_props[:]
    half, _ = to_fp16(model, [{"image": comparison_batch(sample_card)}])
    embed(half, Artifact(sample_card, "fp16", sample_card.weights.sha256))
    onnx.save(half, tmp_path / "half.onnx")
    with load(tmp_path / "half.onnx") as runtime:
        found = evaluator.evaluate(runtime, dataset).headline
    assert found == pytest.approx(0.5781, abs=0.003)  # of float32 (tests/evaluation/test_accuracy.py)
