"""How convolutions are put together to blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgehr.calib.mixed_precision.blocks import block_name, find_blocks
from edgehr.calib.quantize import place
from edgehr.calib.quantizer.graph.onnx_graph import Graph, Operator
from tests.calib.quantizer.small_graph import small_model
from tests.calib.small_pose import BLOCKS, RECIPE, small_pose


@pytest.mark.parametrize(
    ("weight", "block"),
    [
        ("backbone.conv1", "stem"),
        ("backbone.stem.working.4.1", "stem"),
        ("backbone.layer1.2.conv3", "layer1.2"),
        ("backbone.transition1.1.0.0", "transition1"),
        ("backbone.transitions.1.2.0", "transitions.1"),
        ("backbone.stage3.2.branches.1.3.conv2", "stage3.2.branches.1"),
        ("backbone.stage3.2.fuse_layers.2.0.1.0", "stage3.2.fuse.2"),
        ("backbone.stages.1.0.blocks.branches.2.rest1.0", "stages.1.0.blocks.branches.2"),
        ("backbone.stages.1.0.blocks.1.weigh.0.conv1", "stages.1.0.blocks.1"),
        ("backbone.stages.1.0.blocks.blocks.1.gates.second.0", "stages.1.0.blocks.blocks.1"),
        ("backbone.stages.1.0.up.0.1", "stages.1.0.fuse.0"),
        ("backbone.stages.1.0.down.2.0.1.1", "stages.1.0.fuse.2"),
        ("backbone.head_layer.projects.2.1", "head_layer.projects.2"),
        ("head.final_layer", "head"),
    ],
)
def test_a_block_is_called_by_the_path_of_its_module(weight: str, block: str) -> None:
    assert block_name(Operator("node", "Conv", ("x", f"{weight}.weight"), ("y",), {})) == block


def test_every_quantized_convolution_is_in_one_block() -> None:
    graph = Graph(small_pose())
    placement = place(graph, RECIPE)
    blocks = find_blocks(graph, placement)
    assert [block.name for block in blocks] == BLOCKS
    members = [name for block in blocks for name in block.convolutions]
    assert sorted(members) == sorted({op.name for op in graph.convolutions} - placement.float_data)
    assert blocks[1].macs == 16 * 8 * 9 * 16 * 16
    assert blocks[1].weights == 16 * 8 * 9
    everything = find_blocks(graph, place(graph, replace(RECIPE, float_ends=False)))
    assert sum(block.macs for block in everything) == sum(graph.multiply_adds(op) for op in graph.convolutions)


def test_weights_without_a_path_are_blocks_of_their_own() -> None:
    graph = Graph(small_model())
    blocks = find_blocks(graph, place(graph, RECIPE))
    assert [block.name for block in blocks] == [block.convolutions[0] for block in blocks]
    assert len(blocks) == 4
    assert "node_squeeze" not in {block.name for block in blocks}  # on 1x1 maps: stays in float anyway


def test_convolutions_kept_with_their_weights_are_in_no_block_and_in_float() -> None:
    graph = Graph(small_pose())
    recipe = replace(RECIPE, float_convolutions=("node_backbone.stem.1",))
    placement = place(graph, recipe)
    assert "stem" not in {block.name for block in find_blocks(graph, placement)}
    assert "node_backbone.stem.1" in placement.float_weights
    assert "backbone.stem.0.relu" not in placement.quantizers
    kept = place(graph, replace(RECIPE, weight_only=("node_backbone.stem.1",)))
    assert "node_backbone.stem.1" in kept.float_data - kept.float_weights
