"""INT8 for ONNX Runtime, OpenVINO and TensorRT, from a checkpoint to an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.mixed_precision import blocks
from edgehr.calib.mixed_precision.search import MaxDrop
from edgehr.calib.quantize import Calibration, quantize, read_crops
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.passes import equalization
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.calib.recipes import QDQRecipe
from edgehr.converters import int8
from edgehr.converters.convert import convert
from edgehr.converters.onnx.qdq_writer import write_qdq
from edgehr.converters.onnx.target import OnnxTarget
from edgehr.converters.openvino.target import OpenVINOTarget
from edgehr.converters.target import Target
from edgehr.converters.tensorrt.graph import bundle_from_onnx
from edgehr.converters.tensorrt.target import TensorRTTarget
from edgehr.errors import ArtifactError, EdgehrError
from edgehr.evaluation.keypoints.evaluator import KeypointEvaluator
from edgehr.models.build import load as load_network
from edgehr.models.deploy.rewrite import deploy
from edgehr.runtimes import load
from edgehr.runtimes.formats import format_of
from edgehr.zoo import find_weights
from tests.calib.quantizer.small_graph import equalize, relative, run_onnx
from tests.made_once import KeptExports
from tests.models.narrow_hrnet import CARD as NARROW
from tests.models.short_lite_hrnet import LITE, WIDER

pytestmark = pytest.mark.slow

CARDS = {card.name: card for card in (WIDER, LITE, NARROW)}
WEIGHTS = {WIDER.name: "short_wider", LITE.name: "short_lite", NARROW.name: "narrow_hrnet"}


@pytest.fixture(scope="module")
def people(shared: Path) -> CalibrationSet:
    return CalibrationSet.of(shared / "data" / "coco-train2017-people" / "person_keypoints.json", max_crops=40)


@pytest.fixture(autouse=True)
def _no_earlier_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(equalization, "STEPS", 20)  # of 250: what is tested here is the way, not its end


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Callable[[Target, CalibrationSet], Any]:
    """Give a target a calibration set, and a recipe that looks at little of it."""

    def prepare(target: Target, calibration: CalibrationSet) -> Any:
        unsigned = target.name in ("onnx", "openvino")
        split_share = 0.1 if target.name in ("openvino", "tensorrt") else 0.0
        few = QDQRecipe("few", equalize_crops=8, range_crops=16, fit_crops=16)
        recipe = replace(few, unsigned=unsigned, split_share=split_share)
        monkeypatch.setattr(int8, "recipe_for", lambda card, name: recipe)
        return replace(target, calibration=calibration)

    return prepare


@pytest.fixture(scope="module", params=CARDS)
def model(request: pytest.FixtureRequest, kept_exports: KeptExports) -> Any:
    """A card and the graph of its deploy form; the weights of Lite-HRNet are trained ones."""
    card, weights = CARDS[request.param], request.getfixturevalue(WEIGHTS[request.param])
    graph, failure = kept_exports.simplified(deploy(load_network(card, weights))[0], card, 1)
    assert not failure
    return card, graph


def test_a_whole_network_is_computed_as_by_onnx_runtime(
    sample_graph: Graph, sample_card: Any, people: CalibrationSet
) -> None:
    batch = read_crops(people, sample_card, 2)
    assert relative(SimulatedNetwork(sample_graph).run(batch), run_onnx(sample_graph.model, batch, fused=True)) < 1e-4


def test_real_networks_are_computed_as_by_onnx_runtime_and_equalized_exactly(
    model: Any, people: CalibrationSet
) -> None:
    card, proto = model
    graph, batch = Graph(proto), read_crops(people, card, 2)
    wanted = run_onnx(proto, batch, fused=True)
    assert relative(SimulatedNetwork(graph).run(batch), wanted) < 1e-4
    changed = equalize(graph, place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False), batch)
    assert relative(SimulatedNetwork(changed).run(batch), wanted) < 1e-4


def test_the_graph_on_onnx_runtime_is_what_was_simulated(model: Any, people: CalibrationSet) -> None:
    card, proto = model
    recipe = QDQRecipe("few", split_share=0.1, equalize_crops=4, range_crops=4, fit_crops=4)
    network = quantize(proto, Calibration(card, "ab" * 32, people, recipe))
    assert network.placement.split
    batch = read_crops(people, card, 2)
    simulated = network.run(batch)
    assert relative(run_onnx(write_qdq(network), batch), simulated) < 0.1
    assert relative(simulated, run_onnx(proto, batch, fused=True)) < 0.5  # of four crops, to see that it is no noise


@pytest.mark.parametrize(("target", "whole"), [(OnnxTarget, True), (OpenVINOTarget, False)])
def test_heatmaps_stay_near_and_most_is_in_int8(
    target: Any,
    whole: bool,
    sample_card: Any,
    short_wider: Path,
    few: Any,
    people: CalibrationSet,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    card = sample_card.with_size(128, 96) if whole else WIDER
    path = tmp_path / f"a{target().suffix}"
    weights = find_weights(card) if whole else short_wider
    report = convert(card, weights, few(target(), people), precision="int8", out=path)
    assert report.precision == "int8"
    assert report.difference.correlation > 0.97
    assert "is not the file that edgehr wrote" not in caplog.text
    coverage = format_of(path).coverage(path)
    assert coverage is not None
    assert coverage.int8_share > 0.9
    if target is OpenVINOTarget:
        assert coverage.executed is not None
        assert coverage.executed > 0.9
    with load(path) as runtime:
        assert runtime.artifact is not None
        assert runtime.artifact.recipe == "few"
        assert runtime.artifact.calibration_sha256 == people.sha256


def test_tensorrt_builds_it_in_int8(few: Any, people: CalibrationSet, short_wider: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (no build for this platform)")
    target = few(TensorRTTarget(), people)
    report = convert(WIDER, short_wider, target, precision="int8", out=tmp_path / "a.plan")
    assert report.precision == "int8"
    sidecar = json.loads(next(tmp_path.glob("a.plan*.json")).read_text())
    assert sidecar["precisions"]["int8"] > 0.9 * sum(sidecar["precisions"].values()) > 100


def test_a_second_conversion_takes_what_the_first_measured(
    few: Any, people: CalibrationSet, short_wider: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgehr.calib import quantize as module

    told: list[str] = []
    for name in ("a", "b"):
        convert(
            WIDER,
            short_wider,
            few(OnnxTarget(), people),
            precision="int8",
            out=tmp_path / f"{name}.onnx",
            listener=lambda stage, done: told.append(stage),
        )
        monkeypatch.setattr(module, "quantize_on", None)
    assert sum(line.endswith("fit layers, 118 of 118") for line in told) == 1
    first, second = (onnx.load(tmp_path / f"{name}.onnx") for name in ("a", "b"))
    assert first.graph.SerializeToString() == second.graph.SerializeToString()
    with pytest.raises(ArtifactError, match="convert the model with --to trt-bundle"):
        bundle_from_onnx(tmp_path / "a.onnx")  # TensorRT takes no unsigned tensors


def test_blocks_stay_in_float_until_no_more_is_lost(
    few: Any, shared: Path, short_wider: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = CalibrationSet.of(shared / "data" / "coco-train2017-people" / "person_keypoints.json", max_crops=64)
    # So small, the model finds few of the annotated people right.
    monkeypatch.setattr(KeypointEvaluator, "of_crops", lambda self, source, images, crops: None)
    monkeypatch.setattr(blocks, "block_name", lambda convolution: ".".join(convolution.inputs[1].split(".")[:3]))
    card = WIDER.with_size(64, 64)
    target = replace(few(OnnxTarget(), people), max_drop=MaxDrop(99.0))
    everything = convert(card, short_wider, target, precision="int8", out=tmp_path / "all.onnx").float_blocks
    assert everything is not None
    assert everything.rows == []
    assert everything.result["truth"] == "the float network's own results"
    assert everything.result["drop"] > 1

    most = 0.7 * everything.result["drop"]
    target = replace(target, max_drop=MaxDrop(most))
    report = convert(card, short_wider, target, precision="int8", out=tmp_path / "kept.onnx")
    assert report.float_blocks is not None
    assert report.float_blocks.rows
    assert report.float_blocks.result["drop"] <= most
    assert report.float_blocks.result["similarity"] > everything.result["similarity"]
    assert json.loads(json.dumps(report.to_dict()))["float_blocks"]["blocks"] == report.float_blocks.rows
    coverage = format_of(tmp_path / "kept.onnx").coverage(tmp_path / "kept.onnx")
    assert coverage is not None
    assert coverage.int8_share == pytest.approx(report.float_blocks.result["int8_share"], abs=0.002)
    with load(tmp_path / "kept.onnx") as runtime:
        assert runtime.artifact is not None
        assert runtime.artifact.recipe == f"few-max-drop-{most:g}"


def test_an_interrupted_conversion_leaves_nothing(
    few: Any, people: CalibrationSet, short_wider: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(int8, "quantize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(WIDER, short_wider, few(OnnxTarget(), people), precision="int8", out=tmp_path / "a.onnx")
    assert not list(tmp_path.glob("*.*"))


@pytest.mark.parametrize("target", ["onnx", "openvino", "trt-bundle"])
def test_int8_without_calibration_is_refused(target: str, sample_card: Any) -> None:
    with pytest.raises(EdgehrError, match="int8 needs real images"):
        convert(sample_card, find_weights(sample_card), target, precision="int8")


def test_some_crops_are_any_of_a_set_and_always_the_same(tmp_path: Path) -> None:
    from tests.calib.pictures import MIDDLE, picture, video

    clip = video(tmp_path / "clip.avi", [picture(number) for number in range(60)])
    chosen = CalibrationSet.of(clip, max_crops=40, open_finder=MIDDLE)
    card = WIDER.with_size(64, 64)
    few, more = read_crops(chosen, card, 5), read_crops(chosen, card, 9)
    everything = np.concatenate(list(chosen.batches(card)))
    assert len(few) == 5
    assert np.array_equal(few, more[:5])
    places = [int(np.flatnonzero((everything == crop).all((1, 2, 3)))[0]) for crop in more]
    assert len(set(places)) == 9
    assert max(places) > 20 > min(places)
