"""Which tensors lie so far to one side of zero that an operator which moves them is worth its time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.calib.quantizer.center import Middles, Reach, takes_back
from edgehr.calib.quantizer.channels import ChannelClasses
from edgehr.calib.quantizer.expected import ExpectedNoise
from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.quantizer.network import LARGEST_WEIGHT
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.smooth import smooth_maximum

# Share of all expected noise below which it is not.
LEAST_SPARED = 2e-3
LEVELS = 255  # between the ends of a quantizer with a zero of its own


@torch.no_grad()
def off_center(
    graph: Graph,
    placement: Placement,
    noise: ExpectedNoise,
    factors: NDArray[np.float64],
    reaches: Mapping[str, Reach],
) -> Middles:
    """What to move, and by how much: whatever spares a noticeable part of the error of the heatmaps.

    What an INT8 kernel has made stays: it was rounded as it was made, and would be again.

    Args:
        graph: The network.
        placement: The quantizers as they are.
        noise: What they add to the error.
        factors: (count,) of the channels.
        reaches: Of tensors that are not centered yet.
    """
    logarithms, classes = torch.from_numpy(np.log(factors)).float(), ChannelClasses(graph)
    errors: dict[int, float] = defaultdict(float)
    for name, error in noise.of_tensors(logarithms).items():
        errors[placement.groups[name]] += float(error)
    least, steps = LEAST_SPARED * float(noise(logarithms)), noise.steps(logarithms)

    def spares(name: str) -> bool:
        group = placement.groups.get(name, -1)
        if group not in errors:
            return False
        scale, reach, step = torch.from_numpy(factors[classes[name]]).float(), reaches[name], float(steps[group])
        after = float(smooth_maximum((reach.high - reach.low) / 2 / scale)) / LARGEST_WEIGHT
        before = step
        if placement.kernels:
            before = float((reach.high / scale).max() - (reach.low / scale).min().clamp(max=0)) / LEVELS
        return errors[group] * (before**2 - after**2) / step**2 >= least

    made = {name for op in graph.operators if op.name in placement.integer for name in op.outputs}
    takers = [op for op in graph.convolutions if op.name in placement.integer and takes_back(graph, op)]
    candidates = {op.inputs[0] for op in takers} - (made if placement.kernels else set())
    return {name: reaches[name].middle for name in sorted(candidates) if name in reaches and spares(name)}
