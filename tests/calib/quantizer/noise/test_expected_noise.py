"""The error that is expected is the one that comes."""

from __future__ import annotations

import numpy as np
import torch

from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.noise.expected_noise import WEIGHT_NOISE, ExpectedNoise
from edgehr.calib.quantizer.noise.statistics import measure_statistics
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.simulation import Layer, SimulatedNetwork
from tests.calib.quantizer.small_graph import crops, observe_min_max, small_model


def _measured(network: SimulatedNetwork) -> float:
    batch = crops(40)
    difference = network.run(batch).astype(np.float64) - SimulatedNetwork(network.graph).run(batch)
    return float((difference**2).sum((1, 2, 3)).mean())


def test_rounded_tensors_make_the_error_that_is_expected() -> None:
    graph = Graph(small_model())
    placement, classes = (
        place_for_qdq(graph, float_ends=False, pooled_weight_only=False, unsigned=True),
        ChannelGroups(graph),
    )
    noise = ExpectedNoise(graph, placement, classes, measure_statistics(graph, crops(40), placement))
    network = SimulatedNetwork(graph, placement)
    network.parameters = observe_min_max(network, crops(40))
    expected = sum(map(float, noise.of_tensors(torch.zeros(noise.count)).values())) / 12
    assert 1 / 3 < expected / _measured(network) < 3


def test_rounded_weights_make_the_error_that_is_expected() -> None:
    graph = Graph(small_model())
    placement, classes = (
        place_for_qdq(graph, float_ends=False, pooled_weight_only=False, unsigned=True),
        ChannelGroups(graph),
    )
    noise = ExpectedNoise(graph, placement, classes, measure_statistics(graph, crops(40), placement))
    network = SimulatedNetwork(graph, placement)
    for name, layer in network.layers.items():
        step = layer.weight.abs().amax((1, 2, 3)) / 127
        rounded = Layer(layer.weight, layer.bias, step).integers
        network.layers[name] = Layer(torch.tensor(rounded) * step.reshape(-1, 1, 1, 1), layer.bias, step)
    expected = sum(map(float, noise.of_layers(torch.zeros(noise.count)).values())) / 12
    assert 1 / 3 < expected / WEIGHT_NOISE / _measured(network) < 3
