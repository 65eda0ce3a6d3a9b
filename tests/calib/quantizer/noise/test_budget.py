"""What stays in float within a share of the multiply-adds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph, Operator
from edgehr.calib.quantizer.noise.budget import choose_float, choose_split
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise
from edgehr.calib.quantizer.noise.statistics import measure_statistics
from edgehr.calib.quantizer.observers import observe_symmetric
from edgehr.calib.quantizer.passes.equalization import equalizing_factors
from edgehr.calib.quantizer.placement import FLOAT, Placement, place_for_kernels, place_for_qdq
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from tests.calib.quantizer.small_graph import crops, relative, small_model


@dataclass(frozen=True)
class Known:
    graph: Graph
    placement: Placement
    noise: ExpectedNoise
    factors: NDArray[np.float64]

    def in_float(self, share: float) -> frozenset[str]:
        return choose_float(self.graph, self.placement, self.noise, self.factors, share)

    def split(self, share: float, in_float: Collection[str] = ()) -> frozenset[str]:
        return choose_split(self.graph, self.placement, self.noise, self.factors, share, in_float)

    def share(self, names: frozenset[str]) -> float:
        costs = {operator.name: self.graph.multiply_adds(operator) for operator in self.graph.convolutions}
        return sum(costs[name] for name in names) / sum(costs.values())


def _place(graph: Graph, like: Placement, full: Collection[str] = ()) -> Placement:
    if like.returns_int8:
        return place_for_kernels(
            graph, float_ends=False, pooled_weight_only=False, float_convolutions=full, dynamic=bool(like.dynamic)
        )
    return place_for_qdq(graph, float_ends=False, pooled_weight_only=False, unsigned=True, float_convolutions=full)


WAYS = {
    "what is taken": FLOAT,
    "kernels": replace(FLOAT, returns_int8=True),
    "dynamic": replace(FLOAT, returns_int8=True, dynamic=frozenset(["any"])),
}


@pytest.fixture(scope="module", params=WAYS)
def known(request: pytest.FixtureRequest) -> Known:
    graph, classes = Graph(small_model()), ChannelGroups(Graph(small_model()))
    placement = _place(graph, WAYS[request.param])
    noise = ExpectedNoise(graph, placement, classes, measure_statistics(graph, crops(40), placement))
    return Known(graph, placement, noise, equalizing_factors(noise))


def test_multiply_adds_are_counted() -> None:
    graph = Graph(small_model())
    found = {operator.name: graph.multiply_adds(operator) for operator in graph.convolutions}
    assert found["node_stem"] == 16 * 12 * 16 * 3 * 9
    assert found["node_depthwise"] == 8 * 6 * 32 * 9
    assert found["node_squeeze"] == 16 * 16


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_share_is_kept(known: Known, share: float) -> None:
    assert known.share(known.in_float(share)) <= share


def test_nothing_is_kept_of_nothing(known: Known) -> None:
    assert not known.in_float(0.0)


def test_with_enough_of_it_all_that_makes_noise_is_kept(known: Known) -> None:
    assert known.share(known.in_float(1.0)) > 0.9


def test_no_quantizer_stays_whose_noise_is_spared_with_others(known: Known) -> None:
    kept = known.in_float(0.5)
    groups = _place(known.graph, known.placement, kept).quantizers
    assert len(groups) < len(known.placement.quantizers)
    assert all(any(op.name not in kept for op in _near(known.graph, name)) for name in groups)


def _near(graph: Graph, tensor: str) -> list[Operator]:
    """What takes and what makes a tensor, and takes or makes those next to it."""
    maker = graph.producer.get(tensor)
    makers = (
        []
        if maker is None
        else [maker, *(graph.producer[name] for name in graph.data(maker) if name in graph.producer)]
    )
    readers = graph.consumers(tensor)
    return [
        *makers,
        *readers,
        *(ahead for reader in readers for name in reader.outputs for ahead in graph.consumers(name)),
    ]


def test_a_network_with_some_of_it_in_float_is_nearer(known: Known) -> None:
    held_out = crops(20, seed=1)
    wanted, errors = SimulatedNetwork(known.graph).run(held_out), []
    for kept in ((), known.in_float(0.3)):
        network = SimulatedNetwork(known.graph, _place(known.graph, known.placement, kept))
        network.parameters = observe_symmetric(network, crops(40))
        errors.append(relative(network.run(held_out), wanted))
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize("known", ["what is taken", "kernels"], indirect=True)
def test_no_more_is_doubled_than_a_share_of_what_is_in_int8(known: Known) -> None:
    kept = known.in_float(0.1)
    doubled = known.split(0.5, kept)
    assert doubled
    assert not doubled & kept
    assert len(doubled) <= 0.5 * (len(known.graph.convolutions) - len(kept))
    assert not known.split(0.0)


@pytest.mark.parametrize("known", ["what is taken"], indirect=True)
def test_a_network_with_some_of_it_doubled_is_nearer(known: Known) -> None:
    held_out, batch = crops(20, seed=1), crops(40)
    wanted, errors = SimulatedNetwork(known.graph).run(held_out), []
    for doubled in ((), known.split(0.6), [op.name for op in known.graph.convolutions]):
        placement = place_for_qdq(known.graph, float_ends=False, pooled_weight_only=False, unsigned=True, split=doubled)
        network = SimulatedNetwork(known.graph, placement)
        network.parameters = observe_symmetric(network, batch)
        errors.append(relative(network.run(held_out), wanted))
    assert errors[1] < 0.9 * errors[0]
    assert errors[2] < 0.1 * errors[0]
