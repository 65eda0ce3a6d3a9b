"""Equalisation changes no output, and evens out ranges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgehr.calib.quantiser.channels import FIXED, ChannelClasses
from edgehr.calib.quantiser.equalise import equalise, rescaled
from edgehr.calib.quantiser.graph import Graph
from edgehr.calib.quantiser.network import Network
from edgehr.calib.quantiser.placement import NOWHERE, place
from tests.calib.quantiser.small_graph import crops, relative, small_model


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_outputs_stay(alpha: float) -> None:
    graph, batch = Graph(small_model()), crops(8)
    placement = place(graph, ends=True, points=True, unsigned=False)
    changed = equalise(graph, placement, batch, alpha)
    assert not np.array_equal(changed.constants["constant0"], graph.constants["constant0"])
    assert relative(Network(changed, NOWHERE).run(batch), Network(graph, NOWHERE).run(batch)) < 1e-5


def test_any_factors_leave_outputs_as_they_are() -> None:
    graph, batch = Graph(small_model()), crops(4)
    classes = ChannelClasses(graph)
    factors = np.exp(np.random.default_rng(1).uniform(-2, 2, classes.count))
    changed = rescaled(graph, classes, factors)
    assert relative(Network(changed, NOWHERE).run(batch), Network(graph, NOWHERE).run(batch)) < 1e-5


def test_what_a_sigmoid_and_the_ends_see_is_fixed() -> None:
    classes = ChannelClasses(Graph(small_model()))
    for name in ("image", "squeeze", "gate", "head"):
        assert set(classes[name]) == {FIXED}
    assert FIXED not in classes["low"]
    assert np.array_equal(classes["x"], classes["sum"])
    assert np.array_equal(classes["both"][8:24], classes["weighted"])


def test_ranges_come_nearer_to_each_other() -> None:
    graph, batch = Graph(small_model()), crops(8)
    placement = place(graph, ends=True, points=True, unsigned=False)

    def spread(network: Network) -> float:
        tops: dict[str, torch.Tensor] = {}
        network.run(batch, lambda name, value: tops.update({name: value.abs().amax((0, 2, 3))}))
        return float(tops["low"].max() / tops["low"].clamp(min=1e-6).median())

    changed = equalise(graph, placement, batch, 0.7)
    assert spread(Network(changed, NOWHERE)) < spread(Network(graph, NOWHERE)) / 2
