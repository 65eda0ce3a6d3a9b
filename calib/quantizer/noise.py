"""How much of a network's rounding arrives in its heatmaps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantizer.network import BATCH, Network
from edgehr.calib.quantizer.placement import MOVING, NOWHERE
from edgehr.calib.quantizer.range_samples import Ranges, RangeSampler

# Share of a channel's values that may lie beyond what counts as its range.
BEYOND = 5e-4
GAIN_CROPS = 40


@dataclass(frozen=True)
class Signals:
    """What the float network's tensors are like, channel by channel.

    Attributes:
        tops: (C,) by tensor: magnitude that few values exceed, mean over batches.
        squares: (C,) by tensor: mean square.
        gains: (C,) by tensor: squared error of all heatmaps together for noise of variance one in every value of a
            channel, to first order.
        taken: (C,) by tensor: the same for noise that only convolutions, and what moves tensors to them, take; without
            convolutions with dynamic ranges.
        ranges: Some of the ranges of those, by name.
    """

    tops: dict[str, Tensor] = field(default_factory=dict)
    squares: dict[str, Tensor] = field(default_factory=dict)
    gains: dict[str, Tensor] = field(default_factory=dict)
    taken: dict[str, Tensor] = field(default_factory=dict)
    ranges: dict[str, Ranges] = field(default_factory=dict)


def measure_signals(graph: Graph, crops: NDArray[np.float32], dynamic: Collection[str] = ()) -> Signals:
    """Measure them for the inputs and outputs of all convolutions and for what those inputs are made of.

    The gain of a channel is the mean square of the derivative of the output, projected in a random direction, summed
    over positions: its expectation over directions is the squared norm of the Jacobian (Hutchinson's estimator).

    Args:
        graph: The network.
        crops: (N, 3, H, W); gains are from the first 40 of them.
        dynamic: Names of the convolutions with dynamic ranges.
    """
    network = Network(graph, NOWHERE)
    tensors = [name for name in (graph.input, *graph.maker) if graph.channels(name)]
    tops, squares, gains, taken = (_Means() for _ in range(4))
    ranges = RangeSampler(graph, dynamic)

    def look(name: str, value: Tensor) -> None:
        if name in tensors:
            tops.add(name, far_out(value.abs()))
            squares.add(name, value.square().mean((0, 2, 3)))

    network.run(crops, look)
    split = _Split(graph, replace(NOWHERE, dynamic=frozenset(dynamic)))
    draw = torch.Generator().manual_seed(0)
    for start in range(0, min(len(crops), GAIN_CROPS), BATCH):
        values: dict[str, Tensor] = {}

        def keep(name: str, value: Tensor, values: dict[str, Tensor] = values) -> None:
            value.retain_grad()
            values[name] = value

        source = torch.from_numpy(crops[start : start + BATCH]).clone().requires_grad_()
        split.copies, split.own = {}, {}
        output = split.forward(source, keep)
        projected = (output * torch.randn(output.shape, generator=draw)).sum()
        projected.backward()  # type: ignore[no-untyped-call]
        for name in tensors:
            gradient = values[name].grad
            if gradient is not None:
                gains.add(name, gradient.square().sum((2, 3)).mean(0))
            if name in split.copies and (gradient := split.copies[name].grad) is not None:
                taken.add(name, gradient.square().sum((2, 3)).mean(0))
        for convolution, copy in split.own.items():
            if copy.grad is not None:
                ranges.add(convolution, copy.detach(), copy.grad)
    return Signals(tops.all(), squares.all(), gains.all(), taken.all(), ranges.all())


def far_out(value: Tensor) -> Tensor:
    """(C,) what few values of each channel of a tensor (N, C, H, W) exceed."""
    flat = value.transpose(0, 1).flatten(1)
    beyond = max(1, int(flat.shape[1] * BEYOND))
    return flat.topk(beyond, dim=1).values[:, -1]


class _Split(Network):
    """Convolutions, and what moves tensors to them, take copies, so that gradients through them can be told apart.

    Attributes:
        copies: By tensor.
        own: Those of convolutions with dynamic ranges, by name: nobody else is rounded with them.
    """

    copies: dict[str, Tensor]
    own: dict[str, Tensor]

    def take(self, operator: Operator, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copies, for convolutions and what moves tensors."""
        if operator.name in self.placement.dynamic:
            name = operator.inputs[0]
            self.own[operator.name] = _kept(values[name])
            return {name: self.own[operator.name]}
        if operator.kind != CONVOLUTION and operator.kind not in MOVING:
            return super().take(operator, values)
        for name in operator.inputs:
            if name in values and name not in self.copies:
                self.copies[name] = _kept(values[name])
        return {name: self.copies[name] for name in operator.inputs if name in self.copies}


def _kept(value: Tensor) -> Tensor:
    """A copy that keeps its gradient."""
    copy = value.clone()
    copy.retain_grad()
    return copy


class _Means:
    """Means of tensors by name."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
        self._counts[name] = self._counts.get(name, 0) + 1

    def all(self) -> dict[str, Tensor]:
        return {name: total / self._counts[name] for name, total in self._sums.items()}
