"""What is told of blocks that stay in float."""

from __future__ import annotations

import json
from dataclasses import replace

from edgehr.calib.mixed_precision.accuracy_loss import AccuracyLoss
from edgehr.calib.mixed_precision.blocks import Block
from edgehr.calib.mixed_precision.search import BlockSensitivity, MixedPrecision
from edgehr.calib.recipes import QDQRecipe
from edgehr.converters.float_blocks import FloatBlocks
from edgehr.evaluation.keypoints.evaluator import KeypointEvaluator

HARMFUL = BlockSensitivity(Block("stem", ("first", "second"), 50, 200), AccuracyLoss(0.006, 0.02, 0.003))
HARMLESS = BlockSensitivity(Block("head_layer.projects.0", ("third",), 930, 100), AccuracyLoss(-0.001, 0.001, 0.001))
CHOICE = MixedPrecision(
    recipe=QDQRecipe("lite_hrnet-symmetric-max-drop-0.5", float_convolutions=("first", "second")),
    max_drop=0.5,
    evaluated_on="150 calibration crops that nothing is fitted on",
    truth="their annotations",
    terms=KeypointEvaluator.terms,
    float_accuracy=0.54,
    all_int8_loss=AccuracyLoss(0.0111, 0.035, 0.012),
    loss=AccuracyLoss(0.0045, 0.03, 0.008),
    float_blocks=(HARMFUL,),
    int8_blocks=(HARMLESS,),
    macs=1000,
    int8_macs=930,
    all_int8_bytes=1000,
    weight_bytes=1600,
)


def test_what_stays_in_float_why_and_what_it_costs() -> None:
    kept = FloatBlocks.of(CHOICE)
    assert kept.summary == "1 block of 2: INT8 loses 0.45 points of AP, 1.11 with all in INT8"
    (row,) = kept.rows
    assert row == {
        "block": "stem",
        "convolutions": 2,
        "drop_alone": 0.6,
        "similarity_alone": 0.02,
        "error_share": 0.75,
        "macs_share": 0.05,
        "bytes": 600,
    }
    assert len(kept.notes) == 2
    assert "150 calibration crops that nothing is fitted on, AP against their annotations: 54.00" in kept.notes[0]
    assert kept.notes[1].endswith("in float: stem")


def test_json_holds_the_table_and_the_whole() -> None:
    data = json.loads(json.dumps(FloatBlocks.of(CHOICE).to_dict(), allow_nan=False))
    assert [row["block"] for row in data["blocks"]] == ["stem"]
    assert (data["recipe"], data["int8_share"], data["weight_bytes"]) == (CHOICE.recipe.name, 0.93, 1600)
    assert round(data["drop"], 6) == 0.45
    assert round(data["always_float_share"], 6) == 0.02


def test_little_left_in_int8_is_said() -> None:
    notes = FloatBlocks.of(replace(CHOICE, int8_macs=842)).notes
    assert notes[-1].startswith("only 84.2% of the multiply-adds are left in INT8")


def test_a_float_network_that_finds_nobody_right_is_said() -> None:
    assert FloatBlocks.of(replace(CHOICE, float_accuracy=0.02)).notes[-1].endswith("a drop of its AP says little")


def test_nothing_kept_is_said() -> None:
    loss = replace(CHOICE.all_int8_loss, drop=0.003)
    kept = FloatBlocks.of(replace(CHOICE, loss=loss, float_blocks=(), int8_blocks=()))
    assert kept.summary == "nothing more: INT8 loses 0.30 points of AP, at most 0.5 is allowed"
    assert kept.rows == []
    assert len(kept.notes) == 1
