"""Equalisation: the same network, rescaled so that its rounding does least harm.

One step size serves all channels of a tensor, so a channel of small values has few of its steps. ReLU, sums, resizing
and pooling commute with a positive factor for each channel, so such factors can move between a convolution that writes
a channel and those that read it (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
2019, for pairs of convolutions, by their weights). Here the factors of all channels of a graph are found together, by
gradient descent on the squared error of the heatmaps that is to be expected of them.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from edgehr.calib.quantiser.channels import FIXED, ChannelClasses
from edgehr.calib.quantiser.graph import Graph, is_depthwise
from edgehr.calib.quantiser.network import LARGEST_WEIGHT
from edgehr.calib.quantiser.noise import Signals, measure_signals
from edgehr.calib.quantiser.placement import Placement

STEPS, RATE, FINAL_RATE = 250, 0.1, 0.01  # of Adam, on logarithms
NORM = 16.0  # of the smooth maximum over channels


def equalise(graph: Graph, placement: Placement, crops: NDArray[np.float32]) -> Graph:
    """Rescale the channels of a network.

    Args:
        graph: The network.
        placement: Its quantisers.
        crops: (N, 3, H, W), to measure ranges and gains on.

    Returns:
        A graph that computes the same, but for rounding of float32.
    """
    classes = ChannelClasses(graph)
    return rescaled(graph, classes, _solve(_Noise(graph, placement, classes, measure_signals(graph, crops))))


def rescaled(graph: Graph, classes: ChannelClasses, factors: NDArray[np.float64]) -> Graph:
    """Divide the channels of each class by its factor, in the weights that write and read them.

    Args:
        graph: The network.
        classes: Of its channels.
        factors: (classes.count,) positive; that of the fixed class is taken as 1.
    """
    factors = factors.copy()
    factors[FIXED] = 1
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    fresh: dict[str, NDArray[np.float32]] = {}
    for operator in graph.convolutions:
        source, result = factors[classes[operator.inputs[0]]], factors[classes[operator.outputs[0]]]
        weight = graph.weight(operator).astype(np.float64) / result.reshape(-1, 1, 1, 1)
        shape = (-1, 1, 1, 1) if is_depthwise(weight) else (1, -1, 1, 1)
        fresh[operator.inputs[1]] = (weight * source.reshape(shape)).astype(np.float32)
        if len(operator.inputs) > 2:
            fresh[operator.inputs[2]] = (graph.bias(operator) / result).astype(np.float32)
    for tensor in model.graph.initializer:
        if tensor.name in fresh:
            tensor.CopyFrom(numpy_helper.from_array(fresh[tensor.name], tensor.name))
    return Graph(model)


class _Noise:
    """The expected squared error of the heatmaps as a function of the factors.

    Rounding to steps of d makes noise of variance d^2 / 12. A tensor's step is set by its quantiser's largest channel,
    a row's by its largest weight; a channel's noise is multiplied by its factor where it is scaled back.
    """

    def __init__(self, graph: Graph, placement: Placement, classes: ChannelClasses, signals: Signals) -> None:
        self.count = classes.count
        self._signals = signals
        self._places = {name: torch.from_numpy(classes[name]) for name in signals.squares}
        self._members: dict[int, list[str]] = {}
        for name, group in placement.groups.items():
            self._members.setdefault(group, []).append(name)
        self._once = _first_of_class(self._members, self._places)
        self._weights = []
        for operator in graph.convolutions:
            weight = graph.weight(operator)
            # A depthwise filter has a step for each channel: no factor changes its noise.
            if operator.name not in placement.full_weights and not is_depthwise(weight):
                taps = weight.shape[2] * weight.shape[3]
                largest = torch.from_numpy(np.abs(weight).max((2, 3)))
                self._weights.append((operator.inputs[0], operator.outputs[0], largest, taps))

    def __call__(self, logarithms: Tensor) -> Tensor:
        """The error, in units of a twelfth of a squared heatmap value, for the logarithms (count,) of the factors."""
        total = torch.zeros(())
        for members in self._members.values():
            tops = [self._signals.tops[name] * torch.exp(-logarithms[self._places[name]]) for name in members]
            step = _smooth_maximum(torch.cat(tops)[None]) / LARGEST_WEIGHT
            for name in members:
                if name in self._signals.gains:
                    scaled = torch.exp(2 * logarithms[self._places[name]]) * self._signals.gains[name]
                    total = total + step.square()[0] * scaled[self._once[name]].sum()
        for source, result, largest, taps in self._weights:
            if result in self._signals.gains:
                factors = torch.exp(logarithms[self._places[source]])
                steps = _smooth_maximum(largest * factors) / LARGEST_WEIGHT
                power = taps * (self._signals.squares[source] / factors.square()).sum()
                total = total + power * (steps.square() * self._signals.gains[result]).sum()
        return total


def _solve(noise: _Noise) -> NDArray[np.float64]:
    """The factors of least expected error."""
    logarithms = torch.zeros(noise.count, requires_grad=True)
    free = torch.ones(noise.count)
    free[FIXED] = 0
    optimiser = torch.optim.Adam([logarithms], lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1, FINAL_RATE / RATE, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        noise(logarithms * free).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    factors: NDArray[np.float64] = torch.exp((logarithms * free).detach().double()).numpy()
    return factors


def _smooth_maximum(rows: Tensor) -> Tensor:
    """(R, C) -> (R,): a little above each row's largest value, with a gradient for those near it."""
    largest = rows.amax(1, keepdim=True).detach() + 1e-12
    smooth: Tensor = largest[:, 0] * ((rows / largest) ** NORM).sum(1) ** (1 / NORM)
    return smooth


def _first_of_class(members: dict[int, list[str]], places: dict[str, Tensor]) -> dict[str, Tensor]:
    """Which channels of each tensor are the first of their class at its quantiser.

    What was moved or passed on unchanged is rounded on the same grid again, which makes no new noise.
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
