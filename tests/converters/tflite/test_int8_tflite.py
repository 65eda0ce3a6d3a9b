"""INT8 for TFLite on real networks and crops, from a checkpoint to a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.quantize import Calibration, quantize, read_crops
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.passes import equalization
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.calib.recipes import KernelRecipe
from edgehr.converters import int8
from edgehr.converters.convert import convert
from edgehr.converters.tflite.target import TFLiteTarget
from edgehr.converters.tflite.writer import write_int8
from edgehr.models.build import load as load_network
from edgehr.models.deploy.rewrite import deploy
from edgehr.runtimes import load
from edgehr.runtimes.formats import format_of
from tests.calib.quantizer.small_graph import relative
from tests.converters.tflite.test_writer import run
from tests.made_once import KeptExports
from tests.models.short_lite_hrnet import LITE, WIDER

pytestmark = pytest.mark.slow

FEW = KernelRecipe("few", float_share=0.0999, equalize_crops=8, range_crops=8, fit_crops=8)
CARDS = {card.name: card for card in (WIDER, LITE)}
RECIPES = {WIDER.name: FEW, LITE.name: replace(FEW, dynamic=True)}


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(equalization, "STEPS", 20)  # of 250: what is tested here is the way, not its end


@pytest.fixture(scope="module")
def people(shared: Path) -> CalibrationSet:
    return CalibrationSet.of(shared / "data" / "coco-train2017-people" / "person_keypoints.json", max_crops=40)


@pytest.fixture(params=CARDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def weights(name: str, short_wider: Path, short_lite: Path) -> Path:
    """Trained ones."""
    return {WIDER.name: short_wider, LITE.name: short_lite}[name]


def test_real_crops_give_what_was_simulated(
    name: str, weights: Path, people: CalibrationSet, kept_exports: KeptExports
) -> None:
    card = CARDS[name]
    network = deploy(load_network(card, weights))[0]
    model, _ = kept_exports.simplified(network, card, 1)
    quantized = quantize(model, Calibration(card, "ab" * 32, people, RECIPES[name]))
    batch = read_crops(people, card, 20)  # of two alone, chance may take either side
    content = write_int8(quantized, card.with_layout("nhwc"))
    found, simulated = run(content, batch), quantized.run(batch)
    exact = SimulatedNetwork(Graph(model)).run(batch)
    # A value that lies between two steps may fall to either side, and all layers behind it carry that on: in the end
    # the file rounds otherwise than the simulation, but no more.
    assert relative(found, exact) < 1.25 * relative(simulated, exact)
    assert relative(found, simulated) < 1.25 * relative(simulated, exact)
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.97


def test_nine_tenths_are_int8_in_a_third_of_the_size(
    name: str, weights: Path, people: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "recipe_for", lambda card, target: RECIPES[name])
    target = TFLiteTarget(calibration=people)
    path = tmp_path / "a.tflite"
    report = convert(CARDS[name], weights, target, precision="int8", out=path)
    assert report.precision == "int8"
    (covered,) = (note for note in report.notes if "of the multiply-adds are in INT8" in note)
    assert ("have dynamic ranges" in covered) == RECIPES[name].dynamic
    coverage = format_of(path).coverage(path)
    assert coverage is not None
    assert coverage.int8_share >= 0.9
    in_float = convert(CARDS[name], weights, "tflite", out=tmp_path / "float.tflite").size_bytes
    assert path.stat().st_size <= 0.35 * in_float
    with load(path) as runtime:
        assert runtime.artifact is not None
        assert runtime.artifact.recipe == "few"
        assert runtime.artifact.calibration_sha256 == people.sha256
