"""Channels around zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgehr.calib.quantizer.center import Middles, centered, measure_reach, moved
from edgehr.calib.quantizer.channels import ChannelClasses
from edgehr.calib.quantizer.equalize import rescaled, solve
from edgehr.calib.quantizer.expected import ExpectedNoise
from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.quantizer.kernels import place_for_kernels
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.noise import measure_signals
from edgehr.calib.quantizer.off_center import off_center
from edgehr.calib.quantizer.placement import NOWHERE, Placement, place
from tests.calib.quantizer.small_graph import crops, relative, small_model

BATCH = crops(8)


def reach_of(graph: Graph, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What few values of each channel are below, and above."""
    reach = measure_reach(graph, BATCH)[name]
    return reach.low, reach.high


def run(graph: Graph) -> NDArray[np.float32]:
    return Network(graph, NOWHERE).run(BATCH)


def moved_before_the_head() -> tuple[Graph, Graph]:
    """A graph, and the same whose last convolution takes something centered."""
    graph = Graph(small_model())
    return graph, moved(graph, {"node_head"}, {"z": measure_reach(graph, BATCH)["z"].middle})


def test_what_1x1_convolutions_take_of_convolutions_is_centered_and_the_function_stays() -> None:
    graph = Graph(small_model())
    after, done = centered(graph, measure_reach(graph, BATCH))
    assert done == {"depthwise"}
    assert relative(run(after), run(graph)) < 1e-5
    low, high = reach_of(graph, "depthwise")
    assert ((low + high).abs() > 0.1 * (high - low)).any()
    low, high = reach_of(after, "depthwise")
    assert torch.allclose(low, -high, atol=1e-4, rtol=1e-3)


def test_what_is_padded_or_read_by_others_stays() -> None:
    graph = Graph(small_model())
    after, _ = centered(graph, measure_reach(graph, BATCH))
    for old, new in zip(graph.convolutions, after.convolutions, strict=True):
        same = np.array_equal(after.bias(new), graph.bias(old))
        assert same == (old.name not in ("node_depthwise", "node_mix"))


def test_a_convolution_without_a_bias_gets_one() -> None:
    model = small_model()
    (node,) = (node for node in model.graph.node if node.name == "node_depthwise")
    del node.input[2]
    graph = Graph(model)
    after, _ = centered(graph, measure_reach(graph, BATCH))
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
    middles = {"z": measure_reach(graph, BATCH)["z"].middle, "y": np.zeros(16)}
    assert len(moved(graph, {"node_mix", "node_both"}, middles).operators) == len(graph.operators)


def test_channels_of_what_was_moved_can_be_rescaled() -> None:
    graph, after = moved_before_the_head()
    classes = ChannelClasses(after)
    assert np.array_equal(classes["z"], classes["z.centered"])
    factors = np.exp(np.random.default_rng(1).uniform(-2, 2, classes.count))
    changed = rescaled(after, classes, factors)
    assert relative(run(changed), run(graph)) < 1e-5
    before, scaled = (each.constants["z.middle"][0, :, 0, 0] for each in (after, changed))
    assert np.allclose(scaled, before / factors[classes["z"]], rtol=1e-5)


@pytest.mark.parametrize("unsigned", [False, True])
def test_tensors_to_one_side_of_zero_are_worth_an_operator_unless_they_take_all_steps(unsigned: bool) -> None:
    middles = found(lambda graph: place(graph, ends=False, points=True, unsigned=unsigned))
    assert set(middles) == (set() if unsigned else {"z"})


def test_what_a_kernel_has_rounded_is_not_rounded_again() -> None:
    assert not found(lambda graph: place_for_kernels(graph, ends=False, points=True))


def found(placed: Any) -> Middles:
    graph = Graph(small_model())
    graph, done = centered(graph, reaches := measure_reach(graph, BATCH))
    placement: Placement = placed(graph)
    noise = ExpectedNoise(graph, placement, ChannelClasses(graph), measure_signals(graph, BATCH))
    others = {name: reach for name, reach in reaches.items() if name not in done}
    return off_center(graph, placement, noise, solve(noise), others)
