"""Which convolutions stay in float, and which get split activations: where that spares most rounding noise.

A convolution in float spares the rounding of its weights and of its dynamic ranges, and the quantizers that nobody
else needs; what needs one together spares it together. Whatever spares most for what it costs is taken first.

With split activations, what the quantizer leaves is rounded by a second one and filtered by the same weights, so that
only these are rounded any more, for twice the multiply-adds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise, to_logarithms
from edgehr.calib.quantizer.placement import Placement

# Share of the expected noise at stake below which a quantizer is not worth the conversions around it.
MIN_NOISE = 1e-3


def choose_float(
    graph: Graph, placement: Placement, noise: ExpectedNoise, factors: NDArray[np.float64], share: float
) -> frozenset[str]:
    """Spend a share of the multiply-adds on convolutions in float.

    A few layers make most of the noise, at both ends of these networks, where maps are large and channels few, and each
    of them is a small part of the share.

    Args:
        graph: The network.
        placement: Its quantizers.
        noise: What they add to the error of the output.
        factors: (count,) of the channels.
        share: Of all multiply-adds, those that are in float already included.

    Returns:
        Names of the convolutions that go from INT8 to float.
    """
    spared = defaultdict(float, _spared_at_tensors(graph, placement, noise, factors))
    for name, value in noise.of_layers(to_logarithms(factors)).items():
        if name not in placement.float_data:
            spared[frozenset([name])] += float(value)
    costs = {operator.name: graph.multiply_adds(operator) for operator in graph.convolutions}
    return _spend(spared, costs, share * sum(costs.values()) - sum(costs[name] for name in placement.float_data))


def choose_split(
    graph: Graph,
    placement: Placement,
    noise: ExpectedNoise,
    factors: NDArray[np.float64],
    share: float,
    in_float: Collection[str],
) -> frozenset[str]:
    """Choose convolutions that get split activations.

    They are counted, whatever their size: in networks with as little arithmetic as these, it is the operators around a
    second convolution that take the time.

    Args:
        graph: The network.
        placement: Its quantizers.
        noise: What they add to the error of the output.
        factors: (count,) of the channels.
        share: Of the convolutions in INT8, those that may be split.
        in_float: Names of the convolutions that go to float.

    Returns:
        Names of others.
    """
    names = {operator.name for operator in graph.convolutions}
    budget = share * len(names - placement.float_data - set(in_float))
    return _spend(_spared_at_tensors(graph, placement, noise, factors), dict.fromkeys(names, 1), budget, in_float)


def _spend(
    spared: Mapping[frozenset[str], float], costs: Mapping[str, int], left: float, before: Collection[str] = ()
) -> frozenset[str]:
    """Take convolutions until nothing that is worth it fits into what is left.

    Args:
        spared: Noise by the convolutions all of which must be taken to be rid of it.
        costs: Cost of each.
        left: The most that they may cost.
        before: What has been taken, at no cost.

    Returns:
        What is taken in addition.
    """
    taken = set(before)
    least = MIN_NOISE * sum(error for needed, error in spared.items() if not needed <= taken)

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


@torch.no_grad()
def _spared_at_tensors(
    graph: Graph, placement: Placement, noise: ExpectedNoise, factors: NDArray[np.float64]
) -> dict[frozenset[str], float]:
    """Return the noise of tensors by the convolutions all of which must use them unrounded to be rid of it."""
    spared: dict[frozenset[str], float] = defaultdict(float)
    for tensor, error in noise.of_tensors(to_logarithms(factors)).items():
        spared[_users(graph, placement, tensor)] += float(error)
    return spared


def _users(graph: Graph, placement: Placement, tensor: str) -> frozenset[str]:
    """Return the convolutions for which a tensor is rounded: those that read it, and the kernel that makes it."""
    users, ahead = set(), [tensor]
    while ahead:
        for consumer in graph.consumers(ahead.pop()):
            if consumer.kind == CONVOLUTION and consumer.name in placement.integer:
                users.add(consumer.name)
            elif consumer.name in placement.integer:
                ahead += consumer.outputs
    producer = graph.producer.get(tensor)
    if placement.returns_int8 and producer is not None and producer.name in placement.integer:
        producer = graph.producer[producer.inputs[0]] if producer.kind == "Relu" else producer
        users |= {producer.name} if producer.kind == CONVOLUTION else set()
    return frozenset(users)
