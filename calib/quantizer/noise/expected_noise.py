"""The squared error of the output that is to be expected of rounding, before anything is rounded.

Rounding with a scale of d makes noise of variance d^2 / 12. A tensor's scale is set by its quantizer's largest channel,
an output channel's by its largest weight; a channel's noise is multiplied by its factor where it is scaled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph, Operator, is_depthwise
from edgehr.calib.quantizer.noise.statistics import SignalStatistics
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.simulation import LEVELS, MAX_WEIGHT

# Share of the noise of weights that is left by fitting and rounding them with error feedback; by experience.
WEIGHT_NOISE = 0.1
# Noise of fixed ranges, in units of what their scales make: they clip, too, which counts beside dynamic ranges, as
# those do not. By experience; 2 and 4 give the same.
CLIPPING_NOISE = 3.0
NORM = 16  # that stands for the maximum


def smooth_maximum(rows: Tensor) -> Tensor:
    """Return a little more than each row's largest value, with a gradient for those near it: (..., C) -> (...).

    It is 0 for zeros.
    """
    smooth: Tensor = _Norm.apply(rows)  # type: ignore[no-untyped-call]
    return smooth


class _Norm(torch.autograd.Function):
    """The 16-norm of rows, by squares; autograd would keep each of them, and equalization spends its time here."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        largest = rows.amax(-1, keepdim=True).clamp_(min=1e-12)
        powers = rows / largest
        for _ in range(4):
            powers.square_()
        norms = largest * powers.sum(-1, keepdim=True) ** (1 / NORM)
        context.save_for_backward(rows, norms.clamp(min=1e-12))
        return norms[..., 0]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        rows, norms = context.saved_tensors
        result: Tensor
        ratios = rows / norms
        result = ratios.square()
        result *= ratios  # to the power of 3
        ratios.square_()
        for _ in range(2):
            ratios.square_()
            result *= ratios  # 7, 15
        return result.mul_(gradient[..., None])


def to_logarithms(factors: NDArray[np.float64]) -> Tensor:
    """Return factors as `ExpectedNoise` takes them."""
    return torch.from_numpy(np.log(factors)).float()


class ExpectedNoise:
    """Noise that quantizers, dynamic ranges and weights add to the output, as a function of the channels' factors.

    In units of a twelfth of a squared value of the output. Factors are given by their logarithms, (count,).

    Attributes:
        count: Number of factors.
    """

    def __init__(
        self, graph: Graph, placement: Placement, channel_groups: ChannelGroups, statistics: SignalStatistics
    ) -> None:
        self.count = channel_groups.count
        # The statistics may be those of another form of the graph, with tensors that this one has not.
        measured = [name for name in statistics.mean_squares if graph.channels(name)]
        channels = {name: torch.from_numpy(channel_groups[name]) for name in measured}
        members: dict[int, list[str]] = {}
        for name, quantizer in placement.quantizers.items():
            members.setdefault(quantizer, []).append(name)
        self._rows = {quantizer: row for row, quantizer in enumerate(members)}
        self._clipping = CLIPPING_NOISE if placement.dynamic else 1.0
        self._levels = torch.tensor([float(placement.bounds(quantizer)[1]) for quantizer in members])
        self._maxima = _padded([torch.cat([statistics.maxima[name] for name in names]) for names in members.values()])
        self._channels = _padded([torch.cat([channels[name] for name in names]) for names in members.values()])
        gains = dict(_tensor_gains(graph, placement, members, channels, statistics))
        self._names = list(gains)
        rows = [self._rows[placement.quantizers[name]] for name in gains]
        self._row_of_tensor = torch.tensor(rows, dtype=torch.long)
        self._gains = _padded(list(gains.values()))
        self._gain_channels = _padded([channels[name] for name in gains])
        rounded = [
            op
            for op in graph.convolutions
            if op.name not in placement.float_weights and op.outputs[0] in statistics.gains
        ]
        self._constant = {
            op.name: _depthwise_noise(graph, op, statistics) for op in rounded if is_depthwise(graph.weight(op))
        }
        dense = [op for op in rounded if op.name not in self._constant]
        self._stacks: list[_WeightStack | _DynamicStack] = [
            *_weight_stacks(graph, dense, statistics, channels),
            *_dynamic_stacks(graph, placement, statistics, channels),
        ]

    def __call__(self, logarithms: Tensor) -> Tensor:
        """Return the whole noise."""
        factors = torch.exp(logarithms)
        total = self._of_tensors(factors).sum() + sum(self._constant.values())
        for stack in self._stacks:
            total = total + stack.noise(factors).sum()
        return total

    def of_tensors(self, logarithms: Tensor) -> dict[str, Tensor]:
        """Return each quantized tensor with the noise of its rounding; 0 where it was rounded alike before."""
        return dict(zip(self._names, self._of_tensors(torch.exp(logarithms)).unbind(), strict=True))

    def scales(self, logarithms: Tensor) -> dict[int, Tensor]:
        """Return the scale of each quantizer."""
        return dict(zip(self._rows, self._scales(torch.exp(logarithms)).unbind(), strict=True))

    def of_layers(self, logarithms: Tensor) -> dict[str, Tensor]:
        """Return each convolution with its own noise: of rounded weights, after the fit, and of dynamic ranges."""
        factors = torch.exp(logarithms)
        noise = {name: torch.tensor(value) for name, value in self._constant.items()}
        for stack in self._stacks:
            for name, value in zip(stack.names, stack.noise(factors).unbind(), strict=True):
                noise[name] = noise.get(name, torch.zeros(())) + value
        return noise

    def _scales(self, factors: Tensor) -> Tensor:
        return smooth_maximum(self._maxima / factors[self._channels]) / self._levels

    def _of_tensors(self, factors: Tensor) -> Tensor:
        scaled = (factors[self._gain_channels].square() * self._gains).sum(1)
        return self._clipping * self._scales(factors)[self._row_of_tensor].square() * scaled


@dataclass(frozen=True)
class _WeightStack:
    """Convolutions of one shape: L of them, from C to R channels.

    Attributes:
        names: Names of the convolutions.
        channels: (L, C) groups of their input channels.
        largest: (L, R, C) weights' magnitudes.
        mean_squares: (L, C) mean squares of their inputs.
        gains: (L, R) gains of their outputs.
        taps: Positions of the filter.
    """

    names: list[str]
    channels: Tensor
    largest: Tensor
    mean_squares: Tensor
    gains: Tensor
    taps: int

    def noise(self, factors: Tensor) -> Tensor:
        """Return the noise of rounding their weights, (L,)."""
        read = factors[self.channels]
        scales = smooth_maximum(self.largest * read[:, None]) / MAX_WEIGHT
        scaled = (self.mean_squares / read.square()).sum(1)
        return WEIGHT_NOISE * self.taps * scaled * (scales.square() * self.gains).sum(1)


@dataclass(frozen=True)
class _DynamicStack:
    """Convolutions with dynamic ranges: L of them, of C channels, with R ranges each.

    Attributes:
        names: Names of the convolutions.
        channels: (L, C) groups of their input channels.
        high: (L, R, C), as in `DynamicRanges`.
        low: (L, R, C).
        gains: (L, R, C).
    """

    names: list[str]
    channels: Tensor
    high: Tensor
    low: Tensor
    gains: Tensor

    def noise(self, factors: Tensor) -> Tensor:
        """Return the noise of rounding their inputs, (L,)."""
        read = factors[self.channels][:, None]
        scales = (smooth_maximum(self.high / read) + smooth_maximum(self.low / read)) / LEVELS
        return (scales.square() * (read.square() * self.gains).sum(-1)).sum(-1)


def _depthwise_noise(graph: Graph, operator: Operator, statistics: SignalStatistics) -> float:
    """Return the noise of rounding depthwise weights: they have a scale for each channel, so no factor changes it."""
    weight = graph.weight(operator)
    scales = torch.from_numpy(np.abs(weight).max((1, 2, 3))) / MAX_WEIGHT
    mean_squares, gains = statistics.mean_squares[operator.inputs[0]], statistics.gains[operator.outputs[0]]
    taps = weight.shape[2] * weight.shape[3]
    return float(WEIGHT_NOISE * taps * (mean_squares * scales.square() * gains).sum())


def _weight_stacks(
    graph: Graph, convolutions: list[Operator], statistics: SignalStatistics, channels: dict[str, Tensor]
) -> Iterator[_WeightStack]:
    by_shape: dict[tuple[int, ...], list[Operator]] = {}
    for operator in convolutions:
        by_shape.setdefault(graph.weight(operator).shape, []).append(operator)
    for shape, operators in by_shape.items():
        yield _WeightStack(
            [operator.name for operator in operators],
            torch.stack([channels[operator.inputs[0]] for operator in operators]),
            torch.from_numpy(np.stack([np.abs(graph.weight(operator)).max((2, 3)) for operator in operators])),
            torch.stack([statistics.mean_squares[operator.inputs[0]] for operator in operators]),
            torch.stack([statistics.gains[operator.outputs[0]] for operator in operators]),
            shape[2] * shape[3],
        )


def _dynamic_stacks(
    graph: Graph, placement: Placement, statistics: SignalStatistics, channels: dict[str, Tensor]
) -> Iterator[_DynamicStack]:
    by_shape: dict[tuple[int, ...], list[Operator]] = {}
    for operator in graph.convolutions:  # one without ranges does not change the output
        if operator.name in placement.dynamic and operator.name in statistics.dynamic_ranges:
            by_shape.setdefault(tuple(statistics.dynamic_ranges[operator.name].high.shape), []).append(operator)
    for operators in by_shape.values():
        ranges = [statistics.dynamic_ranges[operator.name] for operator in operators]
        yield _DynamicStack(
            [operator.name for operator in operators],
            torch.stack([channels[operator.inputs[0]] for operator in operators]),
            torch.stack([each.high for each in ranges]),
            torch.stack([each.low for each in ranges]),
            torch.stack([each.gains for each in ranges]),
        )


def _padded(rows: list[Tensor]) -> Tensor:
    """Stack rows of different lengths, with zeros behind them."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True) if rows else torch.zeros(0, 1, dtype=torch.long)


def _tensor_gains(
    graph: Graph,
    placement: Placement,
    members: dict[int, list[str]],
    channels: dict[str, Tensor],
    statistics: SignalStatistics,
) -> Iterator[tuple[str, Tensor]]:
    """Give each quantized tensor its gains, 0 for channels that its quantizer has rounded in another tensor before.

    What was only moved is rounded to the same integers again, which makes no new noise.
    """
    int8_outputs = placement.int8_outputs(graph) if placement.returns_int8 else set()
    for names in members.values():
        seen: set[int] = set()
        for name in names:
            numbers = channels[name].tolist()
            first = torch.tensor([number not in seen for number in numbers], dtype=torch.bool)
            seen.update(numbers)
            gain = (statistics.gains if name in int8_outputs else statistics.read_gains).get(name)
            if gain is not None:
                yield name, gain * first
