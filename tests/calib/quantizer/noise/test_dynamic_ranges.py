"""Dynamic ranges: each image's, or each position's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import onnx
import pytest
import torch
from onnx import helper

from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph, is_depthwise
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise, _DynamicStack
from edgehr.calib.quantizer.noise.statistics import SignalStatistics, measure_statistics
from edgehr.calib.quantizer.passes.equalization import equalizing_factors, rescale_channels
from edgehr.calib.quantizer.placement import FLOAT, Placement, place_for_kernels
from edgehr.calib.quantizer.simulation import (
    LEVELS,
    PER_IMAGE,
    PER_PIXEL,
    SimulatedNetwork,
    quantize_dynamically,
    shared_range,
)
from tests.calib.quantizer.small_graph import crops, relative, small_model


def _placed(graph: Graph, full: Collection[str] = ()) -> Placement:
    """Dynamic ranges and nothing else: depthwise convolutions are in float."""
    depthwise = [op.name for op in graph.convolutions if is_depthwise(graph.weight(op))]
    return place_for_kernels(
        graph, float_ends=False, pooled_weight_only=True, float_convolutions=[*depthwise, *full], dynamic=True
    )


def _values() -> torch.Tensor:
    """Two images whose positions differ a thousandfold, some of their values zero."""
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(2, 5, 4, 3, generator=draw) * 10 ** torch.linspace(-2, 1, 12).reshape(1, 1, 4, 3)
    values[1, :, 0, 0] = 7.0  # no negative value here
    values[:, 2] = 0
    return values


@pytest.mark.parametrize("shared", [PER_PIXEL, PER_IMAGE])
def test_values_move_by_half_a_step_of_their_own_range(shared: tuple[int, ...]) -> None:
    values = _values()
    rounded = quantize_dynamically(values, shared)
    step = (values.amax(shared, keepdim=True).clamp(min=0) - values.amin(shared, keepdim=True).clamp(max=0)) / LEVELS
    moved = (rounded - values).abs() / step
    assert moved.max() <= 1.001  # at an end of the range, which zero as a whole step shifts by up to half of one
    assert (moved <= 0.501).float().mean() > 0.9
    assert moved.mean() > 0.1
    assert not rounded[:, 2].any()


def test_a_position_of_its_own_range_keeps_what_an_image_loses() -> None:
    values = _values()
    small = values[:, :, 0, 0]
    errors = [
        (quantize_dynamically(values, shared)[:, :, 0, 0] - small).abs().max() for shared in (PER_PIXEL, PER_IMAGE)
    ]
    assert errors[0] < 0.1 * errors[1]


def test_zeros_alone_stay_zeros() -> None:
    assert not quantize_dynamically(torch.zeros(1, 3, 2, 2), PER_IMAGE).any()


def test_only_matrix_products_take_each_position_by_itself() -> None:
    graph = Graph(small_model())
    kinds = {operator.outputs[0]: shared_range(graph, operator) for operator in graph.convolutions}
    assert kinds["mix"] == kinds["head"] == PER_PIXEL
    assert kinds["down"] == kinds["again"] == PER_IMAGE
    strided = replace(graph.producer["mix"], attributes={"strides": [2, 2]})
    assert shared_range(graph, strided) == PER_IMAGE


def test_dense_convolutions_return_what_they_sum() -> None:
    graph = Graph(small_model())
    placement = place_for_kernels(graph, float_ends=False, pooled_weight_only=True, dynamic=True)
    dense = {op.name for op in graph.convolutions if not is_depthwise(graph.weight(op))}
    assert placement.dynamic == dense - placement.float_data
    assert set(placement.quantizers) == {"low", "depthwise"}  # what the depthwise one takes and returns
    network = SimulatedNetwork(graph, placement)
    mix = graph.producer["mix"]
    value = torch.full((1, 16, 1, 1), 0.123)
    assert network.written(mix, "mix", value) is value
    taken = network.read(mix, {"depthwise": _values()[:, :1]})["depthwise"]
    assert torch.equal(taken, quantize_dynamically(_values()[:, :1], PER_PIXEL))


@pytest.fixture(scope="module")
def known() -> tuple[Graph, SignalStatistics]:
    graph = Graph(small_model())
    return graph, measure_statistics(graph, crops(40), _placed(graph))


def _measured(graph: Graph, placement: Placement) -> float:
    batch = crops(40)
    difference = SimulatedNetwork(graph, placement).run(batch).astype("f8") - SimulatedNetwork(graph).run(batch)
    return float((difference**2).sum((1, 2, 3)).mean())


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("only", ["node_mix", "node_again", "node_head"])
def test_rounding_makes_the_error_that_is_expected(only: str, seed: int) -> None:
    graph = Graph(small_model(seed))
    signals = measure_statistics(graph, crops(40), _placed(graph))
    others = [operator.name for operator in graph.convolutions if operator.name != only]
    placement = _placed(graph, others)
    assert placement.dynamic == {only}
    noise = ExpectedNoise(graph, placement, ChannelGroups(graph), signals)
    zeros: Any = torch.zeros(noise.count)
    (dynamic,) = (each for each in noise._stacks if only in each.names and isinstance(each, _DynamicStack))
    expected = float(dynamic.noise(torch.exp(zeros))) / 12
    assert 1 / 3 < expected / _measured(graph, placement) < 3
    assert float(noise.of_layers(zeros)[only]) / 12 >= expected


def test_channels_can_be_equalized_for_them(known: tuple[Graph, SignalStatistics]) -> None:
    graph, signals = known
    placement, classes = _placed(graph), ChannelGroups(graph)
    factors = equalizing_factors(ExpectedNoise(graph, placement, classes, signals))
    equal, held_out = rescale_channels(graph, classes, factors), crops(20, seed=1)
    wanted = SimulatedNetwork(graph).run(held_out)
    assert relative(SimulatedNetwork(equal).run(held_out), wanted) < 1e-4
    before, after = (relative(SimulatedNetwork(each, _placed(each)).run(held_out), wanted) for each in (graph, equal))
    assert after < 0.9 * before


def test_a_tensor_that_several_read_is_counted_for_each_by_what_it_does_there() -> None:
    model = small_model()
    nodes = list(model.graph.node)
    place = next(place for place, node in enumerate(nodes, 1) if node.name == "node_mix")
    more = onnx.NodeProto()
    more.CopyFrom(nodes[place - 1])
    more.name, more.output[0] = "node_more", "more"
    for node in nodes[place:]:
        node.input[:] = ["twofold" if name == "mix" else name for name in node.input]
    nodes[place:place] = [more, helper.make_node("Add", ["mix", "more"], ["twofold"], "node_twofold")]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    graph = Graph(model)
    ranges = measure_statistics(
        graph, crops(16), replace(FLOAT, dynamic=frozenset(["node_mix", "node_more"]))
    ).dynamic_ranges
    alone = measure_statistics(graph, crops(16), replace(FLOAT, dynamic=frozenset(["node_mix"]))).dynamic_ranges
    assert torch.allclose(ranges["node_mix"].gains, alone["node_mix"].gains, rtol=1e-4)
