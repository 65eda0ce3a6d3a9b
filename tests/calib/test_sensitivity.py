"""The search for what must stay in float."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgehr.calib import sensitivity
from edgehr.calib.alone import Alone
from edgehr.calib.blocks import Block, find_blocks
from edgehr.calib.crops import CalibrationSet
from edgehr.calib.judge import Loss
from edgehr.calib.quantize import Calibration, place, quantize
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.passes import equalization
from edgehr.calib.sensitivity import MaxDrop, Measured, choose_float, predict
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
    original = Alone.__call__

    def count(self: Alone, block: Block) -> Any:
        called.append(block.name)
        return original(self, block)

    monkeypatch.setattr(Alone, "__call__", count)
    return called


def test_a_drop_that_fits_leaves_everything_in_int8(by: Calibration, alone: list[str]) -> None:
    choice = choose_float(small_pose(), by, MaxDrop(99))
    assert choice.recipe == by.recipe
    assert (choice.kept, choice.others, alone) == ((), (), [])
    assert choice.whole == choice.chosen
    assert choice.whole.ap > 0.01  # the search below has something to do
    assert choice.weight_bytes[0] == choice.weight_bytes[1]


def test_the_most_harmful_blocks_stay_in_float_until_the_drop_fits(by: Calibration, alone: list[str]) -> None:
    whole = choose_float(small_pose(), by, MaxDrop(99)).whole
    most = 50 * whole.ap
    choice = choose_float(small_pose(), by, MaxDrop(most))
    assert sorted(alone) == sorted(BLOCKS)
    assert 0 < len(choice.kept) < len(BLOCKS)
    assert 100 * choice.chosen.ap <= most < 100 * choice.whole.ap
    harms = [each.loss.error / each.block.macs for each in choice.kept + choice.others]
    assert harms == sorted(harms, reverse=True)
    names = {name for each in choice.kept for name in each.block.convolutions}
    own = {"node_backbone.stem.0", "node_head.final_layer"}  # that the recipe leaves in float
    assert set(choice.recipe.float_convolutions) == names | own
    assert choice.recipe.name == f"small-max-drop-{most:g}"
    assert choice.weight_bytes[1] - choice.weight_bytes[0] == 3 * sum(each.block.weights for each in choice.kept)

    network = quantize(small_pose(), Calibration(by.card, by.weights_sha256, by.crops, choice.recipe))
    assert {name for name, layer in network.layers.items() if layer.scale is None} == names | own
    in_int8 = [each.block.macs for each in choice.others]
    assert choice.int8_macs == sum(in_int8)


def test_an_interrupted_search_goes_on_where_it_was(
    by: Calibration, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 50 * choose_float(small_pose(), by, MaxDrop(99)).whole.ap
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
        choose_float(small_pose(), by, MaxDrop(most, interrupted))
    assert alone == BLOCKS[:3]
    alone.clear()
    choice = choose_float(small_pose(), by, MaxDrop(most))
    assert alone == BLOCKS[3:]
    alone.clear()
    monkeypatch.setattr("edgehr.calib.quantize.quantize_on", None)  # nothing is quantized again
    assert choose_float(small_pose(), by, MaxDrop(most)) == choice
    assert not alone


def test_what_cannot_be_reached_is_said_in_one_line(by: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitivity.Judge, "loss", lambda self, maps: Loss(0.3, 0.3, 0.1))
    with pytest.raises(EdgehrError, match=r"no part of it can be in INT8 within 0\.5 AP .* --precision fp16$"):
        choose_float(small_pose(), by, MaxDrop(0.5))


def test_a_block_alone_harms_nothing_but_by_itself(by: Calibration) -> None:
    graph = Graph(small_pose())
    alone = Alone(graph, by)
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
    alone = Alone(graph, replace(by, recipe=recipe))
    whole, parameters = alone._observed.placement, alone._observed.parameters
    assert whole.split
    for block in find_blocks(graph, whole):
        network = alone(block)
        assert network.placement.split == whole.split & set(block.convolutions)
        for name, quantizer in network.placement.split_quantizers.items():
            assert network.parameters[quantizer] == parameters[whole.split_quantizers[name]]


def ranked(*errors: float) -> list[Measured]:
    return [Measured(Block(str(error), (), 1, 1), Loss(0, 0, error)) for error in errors]


def test_the_first_guess_is_by_the_error_that_is_left() -> None:
    blocks = ranked(4, 3, 2, 1)
    assert predict(blocks, {0: Loss(0.01, 0, 0)}, 0, 4, most=0.6) == 1
    assert predict(blocks, {0: Loss(0.01, 0, 0)}, 0, 4, most=0.3) == 2
    assert predict(blocks, {0: Loss(0.01, 0, 0)}, 0, 4, most=0.0) == 3


def test_later_guesses_are_further_on_and_then_halve_the_way() -> None:
    blocks = ranked(*[1.0] * 40)
    tried = {0: Loss(0.02, 0, 0), 20: Loss(0.0101, 0, 0), 22: Loss(0.0101, 0, 0)}
    assert predict(blocks, tried, 22, 40, most=1.0) == 26
    tried[26] = Loss(0, 0, 0)
    assert predict(blocks, tried, 22, 26, most=1.0) == 24
