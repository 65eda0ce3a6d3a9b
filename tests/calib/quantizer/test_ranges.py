"""Ranges of activations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.placement import place
from edgehr.calib.quantizer.ranges import check_method, measure_steps
from edgehr.errors import EdgehrError
from tests.calib.quantizer.small_graph import crops, small_model


@pytest.fixture
def network() -> Network:
    graph = Graph(small_model())
    return Network(graph, place(graph, ends=True, points=True, unsigned=True))


def test_the_largest_value_is_reached(network: Network) -> None:
    batch, seen = crops(12), []
    steps = measure_steps(network, batch, "max")
    network.run(batch, lambda name, value: seen.append(float(value.abs().max())) if name == "low" else None)
    assert steps[network.placement.groups["low"]] == pytest.approx(max(seen) / 255)


def test_a_percentile_cuts_off_what_is_rare(network: Network) -> None:
    batch, values = crops(12), []
    steps = measure_steps(network, batch, "p99")
    network.run(batch, lambda name, value: values.append(value.numpy()) if name == "low" else None)
    low = np.concatenate(values)
    cut = np.percentile(low[low > low.max() / 4096], 99)  # zeros do not count
    assert steps[network.placement.groups["low"]] * 255 == pytest.approx(cut, rel=0.01)


def test_least_square_error_rounds_better_than_the_largest_value(network: Network) -> None:
    batch, errors = crops(12), []
    batch[0] *= 3  # one crop of twelve that reaches further
    for method in ("max", "mse"):
        errors.append(rounding_error(network, batch, measure_steps(network, batch, method)))
    assert errors[1] < errors[0]


def rounding_error(network: Network, batch: NDArray[np.float32], steps: dict[int, float]) -> float:
    """Sum over quantized tensors of the mean square error of rounding the float network's values."""
    errors: list[float] = []

    def look(name: str, value: Tensor) -> None:
        if name in network.placement.groups:
            rounded = Network(network.graph, network.placement, network.layers, steps).quantize(name, value)
            errors.append(float(((rounded - value) ** 2).mean()))

    network.run(batch, look)
    return sum(errors)


def test_a_tensor_that_is_always_zero_has_a_step(network: Network) -> None:
    assert all(step > 0 for step in measure_steps(network, np.zeros((2, 3, 32, 24), np.float32), "p99.99").values())


@pytest.mark.parametrize("method", ["", "p", "p0", "p101", "entropy"])
def test_unknown_methods_are_refused(method: str) -> None:
    with pytest.raises(EdgehrError, match="unknown range method"):
        check_method(method)
