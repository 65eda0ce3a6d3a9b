"""The search for what must stay in float."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.mixed_precision import search
from edgehr.calib.mixed_precision.accuracy_loss import AccuracyLoss
from edgehr.calib.mixed_precision.blocks import Block, find_blocks
from edgehr.calib.mixed_precision.search import BlockSensitivity, MaxDrop, next_count, search_mixed_precision
from edgehr.calib.mixed_precision.single_block import SingleBlockQuantizer
from edgehr.calib.quantize import Calibration, place, quantize
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.passes import equalization
from edgehr.errors import EdgehrError
from edgehr.progress import Progress
from tests.calib.pictures import folder
from tests.calib.small_pose import BLOCKS, RECIPE, calibrated, small_pose


@pytest.fixture(scope="module")
def by(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrated(CalibrationSet.of(folder(tmp_path_factory.mktemp("sensitivity") / "pictures", 45)))


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path))
    monkeypatch.setattr(equalization, "STEPS", 20)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the blocks that were quantized alone."""
    called: list[str] = []
    original = SingleBlockQuantizer.__call__

    def count(self: SingleBlockQuantizer, block: Block) -> Any:
        called.append(block.name)
        return original(self, block)

    monkeypatch.setattr(SingleBlockQuantizer, "__call__", count)
    return called


def test_a_drop_that_fits_leaves_everything_in_int8(by: Calibration, alone: list[str]) -> None:
    found = search_mixed_precision(small_pose(), by, MaxDrop(99))
    assert found.recipe == by.recipe
    assert (found.float_blocks, found.int8_blocks, alone) == ((), (), [])
    assert found.all_int8_loss == found.loss
    assert found.all_int8_loss.drop > 0.01  # the search below has something to do
    assert found.all_int8_bytes == found.weight_bytes


def test_the_most_harmful_blocks_stay_in_float_until_the_drop_fits(by: Calibration, alone: list[str]) -> None:
    whole = search_mixed_precision(small_pose(), by, MaxDrop(99)).all_int8_loss
    most = 50 * whole.drop
    found = search_mixed_precision(small_pose(), by, MaxDrop(most))
    assert sorted(alone) == sorted(BLOCKS)
    assert 0 < len(found.float_blocks) < len(BLOCKS)
    assert 100 * found.loss.drop <= most < 100 * found.all_int8_loss.drop
    harms = [each.loss.error / each.block.macs for each in found.float_blocks + found.int8_blocks]
    assert harms == sorted(harms, reverse=True)
    names = {name for each in found.float_blocks for name in each.block.convolutions}
    own = {"node_backbone.stem.0", "node_head.final_layer"}  # that the recipe leaves in float
    assert set(found.recipe.float_convolutions) == names | own
    assert found.recipe.name == f"small-max-drop-{most:g}"
    assert found.weight_bytes - found.all_int8_bytes == 3 * sum(each.block.weights for each in found.float_blocks)

    network = quantize(small_pose(), Calibration(by.card, by.weights_sha256, by.crops, found.recipe))
    assert {name for name, layer in network.layers.items() if layer.scale is None} == names | own
    in_int8 = [each.block.macs for each in found.int8_blocks]
    assert found.int8_macs == sum(in_int8)


def test_an_interrupted_search_goes_on_where_it_was(
    by: Calibration, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 50 * search_mixed_precision(small_pose(), by, MaxDrop(99)).all_int8_loss.drop
    done: list[int] = []

    @contextmanager
    def interrupted(_label: str, total: int) -> Any:
        class Interrupting(Progress):
            def advance(self, steps: int = 1) -> None:
                done.append(steps)
                if len(done) == 3:
                    raise KeyboardInterrupt

        assert total == len(BLOCKS)
        yield Interrupting()

    with pytest.raises(KeyboardInterrupt):
        search_mixed_precision(small_pose(), by, MaxDrop(most, interrupted))
    assert alone == BLOCKS[:3]
    alone.clear()
    found = search_mixed_precision(small_pose(), by, MaxDrop(most))
    assert alone == BLOCKS[3:]
    alone.clear()
    monkeypatch.setattr("edgehr.calib.quantize.quantize_on", None)  # nothing is quantized again
    assert search_mixed_precision(small_pose(), by, MaxDrop(most)) == found
    assert not alone


def test_what_cannot_be_reached_is_said_in_one_line(by: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.LossMeter, "measure", lambda self, maps: AccuracyLoss(0.3, 0.3, 0.1))
    with pytest.raises(
        EdgehrError, match=r"no part of it can be in INT8 within 0\.5 points of AP .* --precision fp16$"
    ):
        search_mixed_precision(small_pose(), by, MaxDrop(0.5))


def test_a_block_alone_harms_nothing_but_by_itself(by: Calibration) -> None:
    graph = Graph(small_pose())
    alone = SingleBlockQuantizer(graph, by)
    block = find_blocks(graph, place(graph, RECIPE))[1]
    network = alone(block)
    quantized = {name for name, layer in network.layers.items() if layer.scale is not None}
    assert quantized == set(block.convolutions)
    assert set(network.placement.quantizers) == {"backbone.stem.1.relu"}
    whole = alone._observed
    observed = whole.parameters[whole.placement.quantizers["backbone.stem.1.relu"]]
    assert list(network.parameters.values()) == [observed]


def test_a_block_alone_has_the_split_activations_of_the_whole(by: Calibration) -> None:
    graph, recipe = Graph(small_pose()), replace(RECIPE, split_share=0.4)
    alone = SingleBlockQuantizer(graph, replace(by, recipe=recipe))
    whole, parameters = alone._observed.placement, alone._observed.parameters
    assert whole.split
    for block in find_blocks(graph, whole):
        network = alone(block)
        assert network.placement.split == whole.split & set(block.convolutions)
        for name, quantizer in network.placement.split_quantizers.items():
            assert network.parameters[quantizer] == parameters[whole.split_quantizers[name]]


def ranked(*errors: float) -> list[BlockSensitivity]:
    return [BlockSensitivity(Block(str(error), (), 1, 1), AccuracyLoss(0, 0, error)) for error in errors]


def test_the_first_guess_is_by_the_error_that_is_left() -> None:
    blocks = ranked(4, 3, 2, 1)
    assert next_count(blocks, {0: AccuracyLoss(0.01, 0, 0)}, 0, 4, max_drop=0.6) == 1
    assert next_count(blocks, {0: AccuracyLoss(0.01, 0, 0)}, 0, 4, max_drop=0.3) == 2
    assert next_count(blocks, {0: AccuracyLoss(0.01, 0, 0)}, 0, 4, max_drop=0.0) == 3


def test_later_guesses_are_further_on_and_then_halve_the_way() -> None:
    blocks = ranked(*[1.0] * 40)
    tried = {0: AccuracyLoss(0.02, 0, 0), 20: AccuracyLoss(0.0101, 0, 0), 22: AccuracyLoss(0.0101, 0, 0)}
    assert next_count(blocks, tried, 22, 40, max_drop=1.0) == 26
    tried[26] = AccuracyLoss(0, 0, 0)
    assert next_count(blocks, tried, 22, 26, max_drop=1.0) == 24
