"""Ranges of activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.observers import SPLIT_HEADROOM, observe_asymmetric, observe_symmetric
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.simulation import QuantizationParameters, SimulatedNetwork
from tests.calib.quantizer.small_graph import crops, observe_min_max, small_model


@pytest.fixture
def network() -> SimulatedNetwork:
    graph = Graph(small_model())
    return SimulatedNetwork(graph, place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=True))


def test_least_square_error_rounds_better_than_the_largest_value(network: SimulatedNetwork) -> None:
    batch, errors = crops(12), []
    batch[0] *= 3  # one crop of twelve that reaches further
    for observe in (observe_min_max, observe_symmetric):
        errors.append(rounding_error(network, batch, observe(network, batch)))
    assert errors[1] < errors[0]


def rounding_error(
    network: SimulatedNetwork, batch: NDArray[np.float32], parameters: dict[int, QuantizationParameters]
) -> float:
    """Sum over quantized tensors of the mean square error of rounding the float network's values."""
    rounding = SimulatedNetwork(network.graph, network.placement, network.layers, parameters)

    def error(name: str, value: Tensor) -> float | None:
        if name not in network.placement.quantizers:
            return None
        return float(((rounding.quantize(name, value) - value) ** 2).mean())

    return sum(sum(errors) for errors in network.measure(batch, error).values())


@pytest.mark.parametrize("observe", [observe_symmetric, observe_asymmetric])
def test_a_tensor_that_is_always_zero_has_a_scale(network: SimulatedNetwork, observe: Any) -> None:
    found = observe(network, np.zeros((2, 3, 32, 24), np.float32))
    assert all(each.scale > 0 for each in found.values())


def test_split_activations_clip_nothing() -> None:
    graph, batch = Graph(small_model()), crops(12)
    placement = place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=True, split=["node_down"])
    network = SimulatedNetwork(graph, placement)
    largest = max(network.measure(batch, lambda name, value: float(value.abs().max()))["x"])
    found = observe_symmetric(network, batch)[placement.split_quantizers["x"]]
    assert found.scale == pytest.approx(SPLIT_HEADROOM * largest / 127)
