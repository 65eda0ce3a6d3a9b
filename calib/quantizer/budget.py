"""Which convolutions stay in float, and which take what they read in two steps: where that spares most rounding noise.

A convolution in float spares the rounding of its weights and of its dynamic ranges, and the quantizers that nobody
else needs; what needs one together spares it together. Whatever spares most for what it costs is taken first.

In two steps, what the quantizer leaves is rounded by a second one and filtered by the same weights, so that nothing
but these is rounded any more, for twice the multiply-adds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.calib.quantizer.expected import ExpectedNoise
from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, multiply_adds
from edgehr.calib.quantizer.placement import Placement

# Share of the expected noise at stake below which a quantizer is not worth the conversions around it.
LEAST_NOISE = 1e-3

Spared = Mapping[frozenset[str], float]


def keep_noisiest(
    graph: Graph, placement: Placement, noise: ExpectedNoise, factors: NDArray[np.float64], share: float
) -> frozenset[str]:
    """Spend a share of the multiply-adds on keeping convolutions in float.

    A few layers make most of the noise, at both ends of these networks, where maps are large and channels few, and each
    of them is a small part of the share.

    Args:
        graph: The network.
        placement: Its quantizers.
        noise: What they add to the error of the heatmaps.
        factors: (count,) of the channels.
        share: Of all multiply-adds, those that are in float already included.

    Returns:
        Names of the convolutions that go from INT8 to float.
    """
    spared: dict[frozenset[str], float] = defaultdict(float, _at_tensors(graph, placement, noise, factors))
    for name, error in noise.of_layers(_logarithms(factors)).items():
        if name not in placement.in_float:
            spared[frozenset([name])] += float(error)
    costs = {operator.name: multiply_adds(graph, operator) for operator in graph.convolutions}
    return _take_best(spared, costs, share * sum(costs.values()) - sum(costs[name] for name in placement.in_float))


def double_noisiest(
    graph: Graph,
    placement: Placement,
    noise: ExpectedNoise,
    factors: NDArray[np.float64],
    share: float,
    kept: Collection[str],
) -> frozenset[str]:
    """Choose convolutions that take what they read in two steps.

    They are counted, whatever their size: in networks with as little arithmetic as these, it is the operators around a
    second convolution that take the time.

    Args:
        graph: The network.
        placement: Its quantizers.
        noise: What they add to the error of the heatmaps.
        factors: (count,) of the channels.
        share: Of the convolutions in INT8, those that may be done twice.
        kept: Names of the convolutions that go to float.

    Returns:
        Names of others.
    """
    names = {operator.name for operator in graph.convolutions}
    in_int8 = names - placement.in_float - set(kept)
    spared = _at_tensors(graph, placement, noise, factors)
    return _take_best(spared, dict.fromkeys(names, 1), share * len(in_int8), kept)


def _take_best(spared: Spared, costs: Mapping[str, int], left: float, before: Collection[str] = ()) -> frozenset[str]:
    """Take convolutions until nothing that is worth it fits into what is left.

    Args:
        spared: Noise by the convolutions all of which must be taken to be rid of it.
        costs: Of each.
        left: The most that they may cost.
        before: What has been taken, at no cost.

    Returns:
        What is taken in addition.
    """
    taken = set(before)
    least = LEAST_NOISE * sum(error for needed, error in spared.items() if not needed <= taken)

    def gain(names: frozenset[str]) -> float:
        return sum(error for needed, error in spared.items() if needed <= names | taken and not needed <= taken)

    def cost(names: frozenset[str]) -> int:
        return sum(costs[name] for name in names - taken)

    candidates = [names for names in spared if all(name in costs for name in names)]
    while candidates:
        candidates = [names for names in candidates if not names <= taken and cost(names) <= left]
        gains = {names: gain(names) for names in candidates}
        candidates = [names for names in candidates if gains[names] >= least]
        if candidates:
            best = max(candidates, key=lambda names: gains[names] / cost(names))
            left -= cost(best)
            taken |= best
    return frozenset(taken - set(before))


def _logarithms(factors: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(np.log(factors)).float()


@torch.no_grad()
def _at_tensors(
    graph: Graph, placement: Placement, noise: ExpectedNoise, factors: NDArray[np.float64]
) -> dict[frozenset[str], float]:
    """Noise of tensors by the operators all of which must read them unrounded to be rid of it."""
    spared: dict[frozenset[str], float] = defaultdict(float)
    for tensor, error in noise.of_tensors(_logarithms(factors)).items():
        spared[_users(graph, placement, tensor)] += float(error)
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
