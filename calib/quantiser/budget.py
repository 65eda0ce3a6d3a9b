"""Which convolutions stay in float: where the fewest multiply-adds spare the most rounding noise.

A convolution in float spares the rounding of its weights, and the quantisers that nobody else needs; what needs one
together spares it together. Whatever spares most for its multiply-adds is taken first.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.calib.quantiser.expected import ExpectedNoise
from edgehr.calib.quantiser.graph import CONVOLUTION, Graph, multiply_adds
from edgehr.calib.quantiser.placement import Placement

# Share of all expected noise below which a quantiser is not worth the conversions around it.
LEAST_NOISE = 1e-3


def keep_noisiest(
    graph: Graph, placement: Placement, noise: ExpectedNoise, factors: NDArray[np.float64], share: float
) -> frozenset[str]:
    """Spend a share of the multiply-adds on keeping convolutions in float.

    A few layers make most of the noise, at both ends of these networks, where maps are large and channels few, and each
    of them is a small part of the share.

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
    spared = _spared(graph, placement, noise, factors)
    least = LEAST_NOISE * sum(spared.values())
    kept: set[str] = set()

    def gain(names: frozenset[str]) -> float:
        return sum(error for needed, error in spared.items() if needed <= names | kept and not needed <= kept)

    def cost(names: frozenset[str]) -> int:
        return sum(costs[name] for name in names - kept)

    candidates = [names for names in spared if all(name in costs for name in names)]
    while candidates:
        candidates = [names for names in candidates if not names <= kept and cost(names) <= left]
        gains = {names: gain(names) for names in candidates}
        candidates = [names for names in candidates if gains[names] >= least]
        if candidates:
            best = max(candidates, key=lambda names: gains[names] / cost(names))
            left -= cost(best)
            kept |= best
    return frozenset(kept)


@torch.no_grad()
def _spared(
    graph: Graph, placement: Placement, noise: ExpectedNoise, factors: NDArray[np.float64]
) -> dict[frozenset[str], float]:
    """Noise by the operators all of which must be in float to be rid of it."""
    logarithms = torch.from_numpy(np.log(factors)).float()
    spared: dict[frozenset[str], float] = defaultdict(float)
    for tensor, error in noise.of_tensors(logarithms).items():
        spared[_users(graph, placement, tensor)] += float(error)
    for name, error in noise.of_weights(logarithms).items():
        if name not in placement.in_float:
            spared[frozenset([name])] += float(error)
    return spared


def _users(graph: Graph, placement: Placement, tensor: str) -> frozenset[str]:
    """The convolutions for which a tensor is rounded: those that take it, and the one that makes it in a kernel."""
    users, ahead = set(), [tensor]
    while ahead:
        for reader in graph.readers(ahead.pop()):
            if reader.kind == CONVOLUTION and reader.name in placement.integer:
                users.add(reader.name)
            elif reader.name in placement.integer:
                ahead += reader.outputs
    maker = graph.maker.get(tensor)
    if placement.kernels and maker is not None and maker.name in placement.integer:
        maker = graph.maker[maker.inputs[0]] if maker.kind == "Relu" else maker
        users |= {maker.name} if maker.kind == CONVOLUTION else set()
    return frozenset(users)
