"""The squared error of the heatmaps that is to be expected of rounding, before anything is rounded.

Rounding to steps of d makes noise of variance d^2 / 12. A tensor's step is set by its quantiser's largest channel, a
row's by its largest weight; a channel's noise is multiplied by its factor where it is scaled back.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from edgehr.calib.quantiser.channels import ChannelClasses
from edgehr.calib.quantiser.graph import Graph, is_depthwise
from edgehr.calib.quantiser.network import LARGEST_WEIGHT
from edgehr.calib.quantiser.noise import Signals
from edgehr.calib.quantiser.placement import Placement

NORM = 16.0  # of the smooth maximum over channels
# What is left of the noise of weights by fitting and rounding them with error feedback; by experience, next to nothing.
LEFT_OF_WEIGHTS = 0.1


class ExpectedNoise:
    """What each quantiser and each layer's weights add to the error, as a function of the channels' factors.

    All in units of a twelfth of a squared heatmap value. Factors are given by their logarithms, (count,).

    Attributes:
        count: Of factors.
    """

    def __init__(self, graph: Graph, placement: Placement, classes: ChannelClasses, signals: Signals) -> None:
        self.count = classes.count
        self._signals = signals
        self._places = {name: torch.from_numpy(classes[name]) for name in signals.squares if graph.channels(name)}
        self._all = torch.cat(list(self._places.values()))
        self._levels = placement.bounds_of
        made = {name for op in graph.operators if op.name in placement.integer for name in op.outputs}
        self._gains = {
            name: gain
            for name in placement.groups
            if (gain := (signals.gains if placement.kernels and name in made else signals.taken).get(name)) is not None
        }
        self._members: dict[int, list[str]] = {}
        for name, group in placement.groups.items():
            self._members.setdefault(group, []).append(name)
        self._once = _first_of_class(self._members, self._places)
        self._weights = []
        for operator in graph.convolutions:
            if operator.name not in placement.full_weights and operator.outputs[0] in signals.gains:
                weight = graph.weight(operator)
                largest = torch.from_numpy(np.abs(weight).max((2, 3)))
                taps = weight.shape[2] * weight.shape[3]
                source = None if is_depthwise(weight) else operator.inputs[0]
                self._weights.append((operator, source, largest, taps))

    def __call__(self, logarithms: Tensor) -> Tensor:
        """The whole error."""
        total = torch.zeros(())
        for _, error in self.of_tensors(logarithms):
            total = total + error
        for _, error in self.of_weights(logarithms):
            total = total + error
        return total

    def of_tensors(self, logarithms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each quantised tensor with the error that its rounding makes; none where it was rounded alike before."""
        factors, steps = self._spread(logarithms), self.steps(logarithms)
        for group, members in self._members.items():
            for name in members:
                if name in self._gains:
                    scaled = factors[name].square() * self._gains[name]
                    yield name, steps[group].square() * scaled[self._once[name]].sum()

    def steps(self, logarithms: Tensor) -> dict[int, Tensor]:
        """Size of each quantiser's step."""
        factors, steps = self._spread(logarithms), {}
        for group, members in self._members.items():
            tops = [self._signals.tops[name] / factors[name] for name in members]
            steps[group] = smooth_maximum(torch.cat(tops)[None])[0] / self._levels(group)[1]
        return steps

    def of_weights(self, logarithms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each convolution whose weights are rounded, with the error that this makes after they are fitted."""
        factors = self._spread(logarithms)
        for operator, source, largest, taps in self._weights:
            gains, squares = self._signals.gains[operator.outputs[0]], self._signals.squares[operator.inputs[0]]
            if source is None:  # a depthwise filter has a step for each channel: no factor changes its noise
                steps = largest[:, 0] / LARGEST_WEIGHT
                yield operator.name, LEFT_OF_WEIGHTS * taps * (squares * steps.square() * gains).sum()
                continue
            steps = smooth_maximum(largest * factors[source]) / LARGEST_WEIGHT
            scaled = (squares / factors[source].square()).sum()
            yield operator.name, LEFT_OF_WEIGHTS * taps * scaled * (steps.square() * gains).sum()

    def _spread(self, logarithms: Tensor) -> dict[str, Tensor]:
        """The factor of each channel of each tensor, looked up for all at once, since gradients cost by look-up."""
        sizes = [len(places) for places in self._places.values()]
        return dict(zip(self._places, torch.split(torch.exp(logarithms[self._all]), sizes), strict=True))


def smooth_maximum(rows: Tensor) -> Tensor:
    """(R, C) -> (R,): a little above each row's largest value, with a gradient for those near it; 0 for zeros."""
    largest = rows.amax(1, keepdim=True).detach() + 1e-12
    sums = ((rows / largest) ** NORM).sum(1).clamp(min=0.5)  # 1 at least, but for zeros, whose root has no gradient
    smooth: Tensor = largest[:, 0] * sums ** (1 / NORM)
    return smooth


def _first_of_class(members: dict[int, list[str]], places: dict[str, Tensor]) -> dict[str, Tensor]:
    """Which channels of each tensor are the first of their class at its quantiser.

    What was moved is rounded on the same grid again, which makes no new noise.
    """
    first: dict[str, Tensor] = {}
    for names in members.values():
        seen: set[int] = set()
        for name in names:
            numbers = places[name].tolist()
            fresh = [number not in seen for number in numbers]
            first[name] = torch.tensor(fresh, dtype=torch.bool)
            seen.update(numbers)
    return first
