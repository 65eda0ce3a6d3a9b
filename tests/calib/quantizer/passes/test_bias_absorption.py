"""Channels around zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise
from edgehr.calib.quantizer.noise.statistics import measure_statistics
from edgehr.calib.quantizer.passes.bias_absorption import (
    Midpoints,
    center_by_additions,
    center_by_biases,
    choose_additions,
    measure_channel_ranges,
)
from edgehr.calib.quantizer.passes.equalization import equalizing_factors, rescale_channels
from edgehr.calib.quantizer.placement import Placement, place_for_kernels, place_for_qdq
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from tests.calib.quantizer.small_graph import crops, relative, small_model

BATCH = crops(8)


def reach_of(graph: Graph, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What few values of each channel are below, and above."""
    reach = measure_channel_ranges(graph, BATCH)[name]
    return reach.low, reach.high


def run(graph: Graph) -> NDArray[np.float32]:
    return SimulatedNetwork(graph).run(BATCH)


def moved_before_the_head() -> tuple[Graph, Graph]:
    """A graph, and the same whose last convolution takes something centered."""
    graph = Graph(small_model())
    return graph, center_by_additions(graph, {"node_head"}, {"z": measure_channel_ranges(graph, BATCH)["z"].midpoint})


def test_what_1x1_convolutions_take_of_convolutions_is_centered_and_the_function_stays() -> None:
    graph = Graph(small_model())
    after, done = center_by_biases(graph, measure_channel_ranges(graph, BATCH))
    assert done == {"depthwise"}
    assert relative(run(after), run(graph)) < 1e-5
    low, high = reach_of(graph, "depthwise")
    assert ((low + high).abs() > 0.1 * (high - low)).any()
    low, high = reach_of(after, "depthwise")
    assert torch.allclose(low, -high, atol=1e-4, rtol=1e-3)


def test_what_is_padded_or_read_by_others_stays() -> None:
    graph = Graph(small_model())
    after, _ = center_by_biases(graph, measure_channel_ranges(graph, BATCH))
    for old, new in zip(graph.convolutions, after.convolutions, strict=True):
        same = np.array_equal(after.bias(new), graph.bias(old))
        assert same == (old.name not in ("node_depthwise", "node_mix"))


def test_a_convolution_without_a_bias_gets_one() -> None:
    model = small_model()
    (node,) = (node for node in model.graph.node if node.name == "node_depthwise")
    del node.input[2]
    graph = Graph(model)
    after, _ = center_by_biases(graph, measure_channel_ranges(graph, BATCH))
    assert relative(run(after), run(graph)) < 1e-5
    low, high = reach_of(after, "depthwise")
    assert torch.allclose(low, -high, atol=1e-4, rtol=1e-3)


def test_an_operator_centers_what_no_bias_can() -> None:
    graph, after = moved_before_the_head()
    assert relative(run(after), run(graph)) < 1e-5
    low, high = reach_of(after, "z.centered")
    assert torch.allclose(low, -high, atol=1e-4, rtol=1e-3)
    (head,) = (op for op in after.convolutions if op.name == "node_head")
    assert head.inputs[0] == "z.centered"


def test_convolutions_that_are_not_asked_take_tensors_as_they_are() -> None:
    graph = Graph(small_model())
    middles = {"z": measure_channel_ranges(graph, BATCH)["z"].midpoint, "y": np.zeros(16)}
    assert len(center_by_additions(graph, {"node_mix", "node_both"}, middles).operators) == len(graph.operators)


def test_channels_of_what_was_moved_can_be_rescaled() -> None:
    graph, after = moved_before_the_head()
    classes = ChannelGroups(after)
    assert np.array_equal(classes["z"], classes["z.centered"])
    factors = np.exp(np.random.default_rng(1).uniform(-2, 2, classes.count))
    changed = rescale_channels(after, classes, factors)
    assert relative(run(changed), run(graph)) < 1e-5
    before, scaled = (each.constants["z.middle"][0, :, 0, 0] for each in (after, changed))
    assert np.allclose(scaled, before / factors[classes["z"]], rtol=1e-5)


@pytest.mark.parametrize("unsigned", [False, True])
def test_tensors_to_one_side_of_zero_are_worth_an_operator_unless_they_take_all_steps(unsigned: bool) -> None:
    middles = found(lambda graph: place_for_qdq(graph, float_ends=False, pooled_weight_only=True, unsigned=unsigned))
    assert set(middles) == (set() if unsigned else {"z"})


def test_what_a_kernel_has_rounded_is_not_rounded_again() -> None:
    assert not found(lambda graph: place_for_kernels(graph, float_ends=False, pooled_weight_only=True))


def found(placed: Any) -> Midpoints:
    graph = Graph(small_model())
    graph, done = center_by_biases(graph, reaches := measure_channel_ranges(graph, BATCH))
    placement: Placement = placed(graph)
    noise = ExpectedNoise(graph, placement, ChannelGroups(graph), measure_statistics(graph, BATCH, placement))
    others = {name: reach for name, reach in reaches.items() if name not in done}
    return choose_additions(graph, placement, noise, equalizing_factors(noise), others)
