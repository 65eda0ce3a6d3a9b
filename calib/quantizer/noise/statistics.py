"""Statistics of a float network's tensors: how large they are, and how much of their rounding arrives in the output."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantizer.noise.dynamic_ranges import DynamicRanges, DynamicRangeSampler
from edgehr.calib.quantizer.placement import FLOAT, MOVING, Placement
from edgehr.calib.quantizer.simulation import SimulatedNetwork

GAIN_IMAGES, GAIN_BATCH = 40, 4  # gradients keep all tensors of a batch in memory
MIN_SIZE = 1e-6  # root mean square of an output


@dataclass(frozen=True)
class SignalStatistics:
    """Statistics of tensors, channel by channel.

    Attributes:
        maxima: (C,) by tensor: largest magnitude in a batch, mean over batches, so that single images count little.
        mean_squares: (C,) by tensor: mean square.
        gains: (C,) by tensor: squared error of the output for noise of variance one in every value of a channel, to
            first order.
        read_gains: (C,) by tensor: the same for noise that only convolutions, and what moves tensors to them, read;
            without convolutions with dynamic ranges.
        dynamic_ranges: A sample of the ranges of those, by name.
    """

    maxima: dict[str, Tensor] = field(default_factory=dict)
    mean_squares: dict[str, Tensor] = field(default_factory=dict)
    gains: dict[str, Tensor] = field(default_factory=dict)
    read_gains: dict[str, Tensor] = field(default_factory=dict)
    dynamic_ranges: dict[str, DynamicRanges] = field(default_factory=dict)


def measure_statistics(graph: Graph, images: NDArray[np.float32], placement: Placement) -> SignalStatistics:
    """Measure the statistics of what convolutions read and return, and of all that is quantized.

    The gain of a channel is the mean square of the derivative of the output, projected in a random direction, summed
    over positions: its expectation over directions is the squared norm of the Jacobian (Hutchinson's estimator).

    Args:
        graph: The network.
        images: (N, 3, H, W); gains are from the first 40 of them.
        placement: The quantizers, and which convolutions have dynamic ranges.
    """
    tensors = {name for operator in graph.convolutions for name in (operator.inputs[0], operator.outputs[0])}
    tensors.update(placement.quantizers, placement.split_quantizers)
    maxima, mean_squares, gains, read_gains = (_Means() for _ in range(4))
    sampler = DynamicRangeSampler(graph, placement.dynamic)

    def look(name: str, value: Tensor) -> None:
        if name in tensors:
            low, high = channel_extremes(value)
            maxima.add(name, torch.maximum(-low, high))
            mean_squares.add(name, value.square().mean((0, 2, 3)))

    SimulatedNetwork(graph).run(images, look)
    network = _CopyingNetwork(graph, replace(FLOAT, dynamic=placement.dynamic))
    draw = torch.Generator().manual_seed(0)
    for start in range(0, min(len(images), GAIN_IMAGES), GAIN_BATCH):
        values: dict[str, Tensor] = {}

        def retain(name: str, value: Tensor, values: dict[str, Tensor] = values) -> None:
            value.retain_grad()
            values[name] = value

        source = torch.from_numpy(images[start : start + GAIN_BATCH]).clone().requires_grad_()
        network.copies, network.dynamic_copies = {}, {}
        network.forward(source, retain)
        outputs = [values[name] for name in graph.outputs]
        # Of several outputs, the error of each counts in parts of its own size.
        sizes = [float(output.detach().square().mean().sqrt()) if len(outputs) > 1 else 1.0 for output in outputs]
        projected = torch.stack(
            [
                (output * torch.randn(output.shape, generator=draw)).sum() / max(size, MIN_SIZE)
                for output, size in zip(outputs, sizes, strict=True)
            ]
        ).sum()
        projected.backward()  # type: ignore[no-untyped-call]
        for found, tensors_read in ((gains, values), (read_gains, network.copies)):
            for name in tensors:
                if name in tensors_read and (gradient := tensors_read[name].grad) is not None:
                    found.add(name, gradient.square().sum((2, 3)).mean(0))
        for convolution, copy in network.dynamic_copies.items():
            if copy.grad is not None:
                sampler.add(convolution, copy.detach(), copy.grad)
    return SignalStatistics(maxima.all(), mean_squares.all(), gains.all(), read_gains.all(), sampler.ranges())


def channel_extremes(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each channel of a tensor (N, C, H, W), (C,) each."""
    return value.amin((0, 2, 3)), value.amax((0, 2, 3))


class _CopyingNetwork(SimulatedNetwork):
    """Convolutions, and what moves tensors to them, read copies, so that gradients through them can be told apart.

    Attributes:
        copies: By tensor.
        dynamic_copies: Those of convolutions with dynamic ranges, by name: no other operator reads values so rounded.
    """

    copies: dict[str, Tensor]
    dynamic_copies: dict[str, Tensor]

    def read(self, operator: Operator, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return copies for convolutions and what moves tensors, the tensors themselves for others."""

        def copied(name: str) -> Tensor:
            copy = values[name].clone()
            copy.retain_grad()
            return copy

        if operator.name in self.placement.dynamic:
            name = operator.inputs[0]
            self.dynamic_copies[operator.name] = copied(name)
            return {name: self.dynamic_copies[operator.name]}
        if operator.kind != CONVOLUTION and operator.kind not in MOVING:
            return super().read(operator, values)
        for name in operator.inputs:
            if name in values and name not in self.copies:
                self.copies[name] = copied(name)
        return {name: self.copies[name] for name in operator.inputs if name in self.copies}


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
