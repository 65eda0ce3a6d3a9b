"""From a graph and crops to a quantized network, by way of the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.quantize import quantize, quantize_on, read_crops
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.passes import equalization
from tests.calib.pictures import folder
from tests.calib.small_pose import CARD, RECIPE, calibrated, small_pose

MOVED = "backbone.stages.0.0.blocks.1.conv1.relu"


@pytest.mark.parametrize(("additions", "split_share"), [(False, 0.0), (True, 0.0), (False, 0.4)])
def test_what_was_kept_is_the_network_that_was_made(
    additions: bool, split_share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(equalization, "STEPS", 20)
    crops = CalibrationSet.of(folder(tmp_path / "pictures", 35))
    recipe = replace(RECIPE, centering_additions=additions, split_share=split_share)
    batch = read_crops(crops, CARD, recipe.max_crops)
    made = quantize_on(Graph(small_pose()), batch, recipe, lambda words: None)
    assert [op.inputs[0] for op in made.graph.operators if op.name.endswith(".center")] == [MOVED] * additions
    assert bool(made.placement.split) == bool(split_share)
    for _ in ("computed", "kept"):
        network = quantize(small_pose(), calibrated(crops, recipe))
        assert network.placement == made.placement
        assert np.abs(network.run(batch) - made.run(batch)).max() < 1e-6 * made.run(batch).std()
