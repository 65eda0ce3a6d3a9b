"""What reaches the output of noise inside the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.noise.statistics import measure_statistics
from edgehr.calib.quantizer.placement import FLOAT
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from tests.calib.quantizer.small_graph import crops, small_model


def test_gains_foretell_the_error_of_small_noise() -> None:
    graph, batch = Graph(small_model()), crops(40)
    gain = float(measure_statistics(graph, batch, FLOAT).gains["again"].sum())
    network, draw, size = SimulatedNetwork(graph), torch.Generator().manual_seed(1), 1e-3

    def noisy(name: str, value: torch.Tensor) -> None:
        if name == "again":
            value += size * torch.randn(value.shape, generator=draw)

    difference = network.forward(torch.from_numpy(batch), noisy).numpy() - network.run(batch)
    error = float((difference.astype(np.float64) ** 2).sum((1, 2, 3)).mean())
    assert error == pytest.approx(gain * size**2, rel=0.3)


def test_signals_have_a_value_for_each_channel() -> None:
    graph = Graph(small_model())
    signals = measure_statistics(graph, crops(10), FLOAT)
    assert signals.maxima["low"].shape == signals.mean_squares["low"].shape == signals.gains["low"].shape == (32,)
    assert (signals.maxima["low"].square() >= signals.mean_squares["low"]).all()
