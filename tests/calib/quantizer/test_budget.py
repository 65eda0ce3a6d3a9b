"""What stays in float within a share of the multiply-adds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgehr.calib.quantizer.budget import double_noisiest, keep_noisiest
from edgehr.calib.quantizer.channels import ChannelClasses
from edgehr.calib.quantizer.equalize import solve
from edgehr.calib.quantizer.expected import ExpectedNoise
from edgehr.calib.quantizer.graph import Graph, Operator, multiply_adds
from edgehr.calib.quantizer.kernels import place_for_kernels
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.noise import measure_signals
from edgehr.calib.quantizer.placement import NOWHERE, Placement, place
from edgehr.calib.quantizer.ranges import measure_steps
from tests.calib.quantizer.small_graph import crops, relative, small_model


@dataclass(frozen=True)
class Known:
    graph: Graph
    placement: Placement
    noise: ExpectedNoise
    factors: NDArray[np.float64]

    def kept(self, share: float) -> frozenset[str]:
        return keep_noisiest(self.graph, self.placement, self.noise, self.factors, share)

    def doubled(self, share: float, kept: Collection[str] = ()) -> frozenset[str]:
        return double_noisiest(self.graph, self.placement, self.noise, self.factors, share, kept)

    def share(self, names: frozenset[str]) -> float:
        costs = {operator.name: multiply_adds(self.graph, operator) for operator in self.graph.convolutions}
        return sum(costs[name] for name in names) / sum(costs.values())


def _place(graph: Graph, like: Placement, full: Collection[str] = ()) -> Placement:
    if like.kernels:
        return place_for_kernels(graph, ends=False, points=False, full=full, dynamic=bool(like.dynamic))
    return place(graph, ends=False, points=False, unsigned=True, full=full)


WAYS = {
    "what is taken": NOWHERE,
    "kernels": replace(NOWHERE, kernels=True),
    "dynamic": replace(NOWHERE, kernels=True, dynamic=frozenset(["any"])),
}


@pytest.fixture(scope="module", params=WAYS)
def known(request: pytest.FixtureRequest) -> Known:
    graph, classes = Graph(small_model()), ChannelClasses(Graph(small_model()))
    placement = _place(graph, WAYS[request.param])
    noise = ExpectedNoise(graph, placement, classes, measure_signals(graph, crops(40), placement.dynamic))
    return Known(graph, placement, noise, solve(noise))


def test_multiply_adds_are_counted() -> None:
    graph = Graph(small_model())
    found = {operator.name: multiply_adds(graph, operator) for operator in graph.convolutions}
    assert found["node_stem"] == 16 * 12 * 16 * 3 * 9
    assert found["node_depthwise"] == 8 * 6 * 32 * 9
    assert found["node_squeeze"] == 16 * 16


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_share_is_kept(known: Known, share: float) -> None:
    assert known.share(known.kept(share)) <= share


def test_nothing_is_kept_of_nothing(known: Known) -> None:
    assert not known.kept(0.0)


def test_with_enough_of_it_all_that_makes_noise_is_kept(known: Known) -> None:
    assert known.share(known.kept(1.0)) > 0.9


def test_no_quantizer_stays_whose_noise_is_spared_with_others(known: Known) -> None:
    kept = known.kept(0.5)
    groups = _place(known.graph, known.placement, kept).groups
    assert len(groups) < len(known.placement.groups)
    assert all(any(op.name not in kept for op in _near(known.graph, name)) for name in groups)


def _near(graph: Graph, tensor: str) -> list[Operator]:
    """What takes and what makes a tensor, and takes or makes those next to it."""
    maker = graph.maker.get(tensor)
    makers = [] if maker is None else [maker, *(graph.maker[name] for name in graph.data(maker) if name in graph.maker)]
    readers = graph.readers(tensor)
    return [
        *makers,
        *readers,
        *(ahead for reader in readers for name in reader.outputs for ahead in graph.readers(name)),
    ]


def test_a_network_with_some_of_it_in_float_is_nearer(known: Known) -> None:
    held_out = crops(20, seed=1)
    wanted, errors = Network(known.graph, NOWHERE).run(held_out), []
    for kept in ((), known.kept(0.3)):
        network = Network(known.graph, _place(known.graph, known.placement, kept))
        network.steps = measure_steps(network, crops(40), "mse")
        errors.append(relative(network.run(held_out), wanted))
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize("known", ["what is taken", "kernels"], indirect=True)
def test_no_more_is_doubled_than_a_share_of_what_is_in_int8(known: Known) -> None:
    kept = known.kept(0.1)
    doubled = known.doubled(0.5, kept)
    assert doubled
    assert not doubled & kept
    assert len(doubled) <= 0.5 * (len(known.graph.convolutions) - len(kept))
    assert not known.doubled(0.0)


@pytest.mark.parametrize("known", ["what is taken"], indirect=True)
def test_a_network_with_some_of_it_doubled_is_nearer(known: Known) -> None:
    held_out, batch = crops(20, seed=1), crops(40)
    wanted, errors = Network(known.graph, NOWHERE).run(held_out), []
    for doubled in ((), known.doubled(0.6), [op.name for op in known.graph.convolutions]):
        placement = place(known.graph, ends=False, points=False, unsigned=True, doubled=doubled)
        network = Network(known.graph, placement)
        network.steps = measure_steps(network, batch, "mse")
        errors.append(relative(network.run(held_out), wanted))
    assert errors[1] < 0.9 * errors[0]
    assert errors[2] < 0.1 * errors[0]
