"""Which convolutions stay in float: where the fewest multiply-adds spare the most rounding noise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.calib.quantiser.expected import ExpectedNoise
from edgehr.calib.quantiser.graph import Graph, multiply_adds
from edgehr.calib.quantiser.placement import Placement

# Share of all expected noise below which a quantiser is not worth the conversions around it.
LEAST_NOISE = 1e-3


def keep_noisiest(
    graph: Graph, placement: Placement, noise: ExpectedNoise, factors: NDArray[np.float64], share: float
) -> frozenset[str]:
    """Spend a share of the multiply-adds on keeping convolutions in float.

    Greedy by noise for each multiply-add: a few layers make most of it, at both ends of these networks, where maps are
    large and channels few, and each of them is a small part of the share. What shares a quantiser goes together.

    Args:
        graph: The network.
        placement: Its quantisers.
        noise: What they add to the error of the heatmaps.
        factors: (count,) of the channels.
        share: Of all multiply-adds, those that are in float already included.

    Returns:
        Names of the convolutions that go from INT8 to float.
    """
    costs = {operator.name: multiply_adds(graph, operator) for operator in graph.convolutions}
    left = share * sum(costs.values()) - sum(costs[name] for name in placement.in_float)
    readers: dict[int, list[str]] = {}
    for operator in graph.convolutions:
        if operator.name not in placement.in_float:
            readers.setdefault(placement.groups[operator.inputs[0]], []).append(operator.name)
    spared = _spared(noise, factors, readers)
    least = LEAST_NOISE * sum(spared.values())
    kept: set[str] = set()
    for group in sorted(readers, key=lambda group: spared[group] / sum(costs[name] for name in readers[group]))[::-1]:
        cost = sum(costs[name] for name in readers[group])
        if cost <= left and spared[group] >= least:
            left -= cost
            kept.update(readers[group])
    return frozenset(kept)


@torch.no_grad()
def _spared(noise: ExpectedNoise, factors: NDArray[np.float64], readers: dict[int, list[str]]) -> dict[int, float]:
    """The noise of each quantiser and of the weights that meet its tensors."""
    logarithms = torch.from_numpy(np.log(factors)).float()
    tensors = {group: float(error) for group, error in noise.of_tensors(logarithms)}
    weights = {name: float(error) for name, error in noise.of_weights(logarithms)}
    return {group: tensors[group] + sum(weights.get(name, 0) for name in names) for group, names in readers.items()}
