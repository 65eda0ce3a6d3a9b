"""The error that is expected is the one that comes."""

from __future__ import annotations

import numpy as np
import torch

from edgehr.calib.quantizer.channels import ChannelClasses
from edgehr.calib.quantizer.expected import LEFT_OF_WEIGHTS, ExpectedNoise
from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.quantizer.network import Layer, Network
from edgehr.calib.quantizer.noise import measure_signals
from edgehr.calib.quantizer.placement import NOWHERE, place
from edgehr.calib.quantizer.ranges import measure_steps
from tests.calib.quantizer.small_graph import crops, small_model


def _measured(network: Network) -> float:
    batch = crops(40)
    difference = network.run(batch).astype(np.float64) - Network(network.graph, NOWHERE).run(batch)
    return float((difference**2).sum((1, 2, 3)).mean())


def test_rounded_tensors_make_the_error_that_is_expected() -> None:
    graph = Graph(small_model())
    placement, classes = place(graph, ends=False, points=False, unsigned=True), ChannelClasses(graph)
    noise = ExpectedNoise(graph, placement, classes, measure_signals(graph, crops(40)))
    network = Network(graph, placement)
    network.steps = measure_steps(network, crops(40), "max")
    expected = sum(map(float, noise.of_tensors(torch.zeros(noise.count)).values())) / 12
    assert 1 / 3 < expected / _measured(network) < 3


def test_rounded_weights_make_the_error_that_is_expected() -> None:
    graph = Graph(small_model())
    placement, classes = place(graph, ends=False, points=False, unsigned=True), ChannelClasses(graph)
    noise = ExpectedNoise(graph, placement, classes, measure_signals(graph, crops(40)))
    network = Network(graph, placement)
    for name, layer in network.layers.items():
        step = layer.weight.abs().amax((1, 2, 3)) / 127
        rounded = Layer(layer.weight, layer.bias, step).integers
        network.layers[name] = Layer(torch.tensor(rounded) * step.reshape(-1, 1, 1, 1), layer.bias, step)
    expected = sum(map(float, noise.of_layers(torch.zeros(noise.count)).values())) / 12
    assert 1 / 3 < expected / LEFT_OF_WEIGHTS / _measured(network) < 3
