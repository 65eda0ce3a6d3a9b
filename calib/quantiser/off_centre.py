"""Which tensors lie so far to one side of zero that an operator which moves them is worth its time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.calib.quantiser.centre import Middles, Reach, takes_back
from edgehr.calib.quantiser.channels import ChannelClasses
from edgehr.calib.quantiser.expected import ExpectedNoise, smooth_maximum
from edgehr.calib.quantiser.graph import CONVOLUTION, Graph
from edgehr.calib.quantiser.kernels import fused_relu
from edgehr.calib.quantiser.network import LARGEST_WEIGHT
from edgehr.calib.quantiser.placement import Placement

# Share of all expected noise below which it is not.
LEAST_SPARED = 2e-3
LEVELS = 255  # between the ends of a quantiser with a zero of its own


@dataclass(frozen=True)
class Offsets:
    """What is subtracted of channels: (C,) by tensor.

    Attributes:
        taken: Of what 1x1 convolutions take, see `edgehr.calib.quantiser.centre.moved`.
        made: Of what convolutions make, see `edgehr.calib.quantiser.centre_results`.
    """

    taken: Middles = field(default_factory=dict)
    made: Middles = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.taken or self.made)


@torch.no_grad()
def off_centre(
    graph: Graph,
    placement: Placement,
    noise: ExpectedNoise,
    factors: NDArray[np.float64],
    reaches: Mapping[str, Reach],
) -> Offsets:
    """What to move: whatever spares a noticeable part of the error of the heatmaps.

    What an INT8 kernel has made is moved by its bias. What it rounds is not moved behind it, to be rounded again.

    Args:
        graph: The network.
        placement: The quantisers as they are.
        noise: What they add to the error.
        factors: (count,) of the channels.
        reaches: Of tensors that are not centred yet.
    """
    logarithms, classes = torch.from_numpy(np.log(factors)).float(), ChannelClasses(graph)
    errors: dict[int, float] = defaultdict(float)
    for name, error in noise.of_tensors(logarithms):
        errors[placement.groups[name]] += float(error)
    least, steps = LEAST_SPARED * float(noise(logarithms)), noise.steps(logarithms)

    def spares(name: str) -> bool:
        group = placement.groups.get(name, -1)
        if group not in errors:
            return False
        scale, reach, step = torch.from_numpy(factors[classes[name]]).float(), reaches[name], float(steps[group])
        after = float(smooth_maximum(((reach.high - reach.low) / 2 / scale)[None])) / LARGEST_WEIGHT
        before = step
        if placement.kernels:
            before = float((reach.high / scale).max() - (reach.low / scale).min().clamp(max=0)) / LEVELS
        return errors[group] * (before**2 - after**2) / step**2 >= least

    return Offsets(
        {name: reaches[name].middle for name in _taken(graph, placement) if name in reaches and spares(name)},
        {name: reaches[name].middle for name in _made(graph, placement) if name in reaches and spares(name)},
    )


def _taken(graph: Graph, placement: Placement) -> list[str]:
    """What can be moved ahead of 1x1 convolutions."""
    takers = (op for op in graph.convolutions if op.name in placement.integer and takes_back(graph, op))
    return sorted({op.inputs[0] for op in takers} - set(_rounded(graph, placement)))


def _made(graph: Graph, placement: Placement) -> list[str]:
    """What kernels return as it is, but for what sigmoids read: quantisers are fitted to those by other means."""
    return [
        name
        for name in _rounded(graph, placement)
        if graph.maker[name].kind == CONVOLUTION
        and not fused_relu(graph, graph.maker[name])
        and name != graph.output
        and all(reader.kind != "Sigmoid" and reader.name not in placement.integer for reader in graph.readers(name))
    ]


def _rounded(graph: Graph, placement: Placement) -> Iterator[str]:
    """What INT8 kernels make."""
    if placement.kernels:
        for operator in graph.operators:
            if operator.name in placement.integer:
                yield from operator.outputs
