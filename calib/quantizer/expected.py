"""The squared error of the heatmaps that is to be expected of rounding, before anything is rounded.

Rounding to steps of d makes noise of variance d^2 / 12. A tensor's step is set by its quantizer's largest channel, a
row's by its largest weight; a channel's noise is multiplied by its factor where it is scaled back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgehr.calib.quantizer.channels import ChannelClasses
from edgehr.calib.quantizer.expected_dynamic import DynamicStack, dynamic_stacks
from edgehr.calib.quantizer.graph import Graph, Operator, is_depthwise
from edgehr.calib.quantizer.network import LARGEST_WEIGHT
from edgehr.calib.quantizer.noise import Signals
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.smooth import smooth_maximum

# What is left of the noise of weights by fitting and rounding them with error feedback; by experience, next to nothing.
LEFT_OF_WEIGHTS = 0.1
# What fixed ranges make in all, in units of what their steps do: they clip, too, which counts beside dynamic ranges, as
# those do not. By experience; 2 and 4 give the same.
CLIPPED = 3.0


class ExpectedNoise:
    """What quantizers, dynamic ranges and weights add to the error, as a function of the channels' factors.

    All in units of a twelfth of a squared heatmap value. Factors are given by their logarithms, (count,).

    Attributes:
        count: Of factors.
    """

    def __init__(self, graph: Graph, placement: Placement, classes: ChannelClasses, signals: Signals) -> None:
        self.count = classes.count
        places = {name: torch.from_numpy(classes[name]) for name in signals.squares if graph.channels(name)}
        members: dict[int, list[str]] = {}
        for name, group in placement.groups.items():
            members.setdefault(group, []).append(name)
        self._rows = {group: row for row, group in enumerate(members)}
        self._clipped = CLIPPED if placement.dynamic else 1.0
        self._levels = torch.tensor([float(placement.bounds_of(group)[1]) for group in members])
        self._tops = _padded([torch.cat([signals.tops[name] for name in names]) for names in members.values()])
        self._places = _padded([torch.cat([places[name] for name in names]) for names in members.values()])
        once = _first_of_class(members, places)
        made = {name for op in graph.operators if op.name in placement.integer for name in op.outputs}
        gains = {
            name: gain * once[name]
            for names in members.values()
            for name in names
            if (gain := (signals.gains if placement.kernels and name in made else signals.taken).get(name)) is not None
        }
        self._names = list(gains)
        self._group_of = torch.tensor([self._rows[placement.groups[name]] for name in gains], dtype=torch.long)
        self._gains = _padded(list(gains.values()))
        self._gain_places = _padded([places[name] for name in gains])
        rounded = [
            op for op in graph.convolutions if op.name not in placement.full_weights and op.outputs[0] in signals.gains
        ]
        self._fixed = {op.name: _of_depthwise(graph, op, signals) for op in rounded if is_depthwise(graph.weight(op))}
        self._stacks: list[_Stack | DynamicStack] = [
            *_stacks(graph, [op for op in rounded if op.name not in self._fixed], signals, places),
            *dynamic_stacks(graph, placement, signals, places),
        ]

    def __call__(self, logarithms: Tensor) -> Tensor:
        """The whole error."""
        factors = torch.exp(logarithms)
        total = self._at_tensors(factors).sum() + sum(self._fixed.values())
        for stack in self._stacks:
            total = total + stack.errors(factors).sum()
        return total

    def of_tensors(self, logarithms: Tensor) -> dict[str, Tensor]:
        """Each quantized tensor with the error that its rounding makes; 0 where it was rounded alike before."""
        return dict(zip(self._names, self._at_tensors(torch.exp(logarithms)).unbind(), strict=True))

    def steps(self, logarithms: Tensor) -> dict[int, Tensor]:
        """Size of each quantizer's step."""
        return dict(zip(self._rows, self._steps(torch.exp(logarithms)).unbind(), strict=True))

    def of_layers(self, logarithms: Tensor) -> dict[str, Tensor]:
        """Each convolution with the error that it makes alone.

        That is of its weights, where they are rounded, after they are fitted, and with dynamic ranges of what it reads.
        """
        factors = torch.exp(logarithms)
        errors = {name: torch.tensor(error) for name, error in self._fixed.items()}
        for stack in self._stacks:
            for name, error in zip(stack.names, stack.errors(factors).unbind(), strict=True):
                errors[name] = errors.get(name, torch.zeros(())) + error
        return errors

    def _steps(self, factors: Tensor) -> Tensor:
        return smooth_maximum(self._tops / factors[self._places]) / self._levels

    def _at_tensors(self, factors: Tensor) -> Tensor:
        scaled = (factors[self._gain_places].square() * self._gains).sum(1)
        return self._clipped * self._steps(factors)[self._group_of].square() * scaled


@dataclass(frozen=True)
class _Stack:
    """Layers of one shape: L of them, from C to R channels.

    Attributes:
        names: Of the convolutions.
        places: (L, C) classes of what they take.
        largest: (L, R, C) weights' magnitudes.
        squares: (L, C) mean squares of what they take.
        gains: (L, R) of what they return.
        taps: Positions of the filter.
    """

    names: list[str]
    places: Tensor
    largest: Tensor
    squares: Tensor
    gains: Tensor
    taps: int

    def errors(self, factors: Tensor) -> Tensor:
        """(L,) made by rounding their weights."""
        taken = factors[self.places]
        steps = smooth_maximum(self.largest * taken[:, None]) / LARGEST_WEIGHT
        scaled = (self.squares / taken.square()).sum(1)
        return LEFT_OF_WEIGHTS * self.taps * scaled * (steps.square() * self.gains).sum(1)


def _of_depthwise(graph: Graph, operator: Operator, signals: Signals) -> float:
    """The error made by rounding its weights: they have a step for each channel, so that no factor changes it."""
    weight = graph.weight(operator)
    steps = torch.from_numpy(np.abs(weight).max((1, 2, 3))) / LARGEST_WEIGHT
    squares, gains = signals.squares[operator.inputs[0]], signals.gains[operator.outputs[0]]
    taps = weight.shape[2] * weight.shape[3]
    return float(LEFT_OF_WEIGHTS * taps * (squares * steps.square() * gains).sum())


def _stacks(graph: Graph, convolutions: list[Operator], signals: Signals, places: dict[str, Tensor]) -> list[_Stack]:
    """Layers with one group, by their shape."""
    alike: dict[tuple[int, ...], list[Operator]] = {}
    for operator in convolutions:
        alike.setdefault(graph.weight(operator).shape, []).append(operator)
    return [
        _Stack(
            [operator.name for operator in operators],
            torch.stack([places[operator.inputs[0]] for operator in operators]),
            torch.from_numpy(np.stack([np.abs(graph.weight(operator)).max((2, 3)) for operator in operators])),
            torch.stack([signals.squares[operator.inputs[0]] for operator in operators]),
            torch.stack([signals.gains[operator.outputs[0]] for operator in operators]),
            shape[2] * shape[3],
        )
        for shape, operators in alike.items()
    ]


def _padded(rows: list[Tensor]) -> Tensor:
    """Rows of different lengths as one matrix, with zeros behind them."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True) if rows else torch.zeros(0, 1, dtype=torch.long)


def _first_of_class(members: dict[int, list[str]], places: dict[str, Tensor]) -> dict[str, Tensor]:
    """Which channels of each tensor are the first of their class at its quantizer.

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
