"""Statistics of a float network's tensors: how large they are, and how much of their rounding arrives in the output."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantizer.noise.dynamic_ranges import DynamicRanges, DynamicRangeSampler, joined
from edgehr.calib.quantizer.parallel import side_by_side
from edgehr.calib.quantizer.placement import FLOAT, MOVING, Placement
from edgehr.calib.quantizer.simulation import SimulatedNetwork

GAIN_IMAGES = 40
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

    def look(name: str, value: Tensor) -> tuple[Tensor, Tensor] | None:
        if name not in tensors:
            return None
        low, high = channel_extremes(value)
        return torch.maximum(-low, high), value.square().mean((0, 2, 3))

    network = SimulatedNetwork(graph, replace(FLOAT, dynamic=placement.dynamic))
    measured = SimulatedNetwork(graph, layers=network.layers).measure(images, look)
    sampler = DynamicRangeSampler(graph, placement.dynamic)
    of_images = side_by_side(
        lambda numbered: _gains_of_image(network, tensors, sampler, *numbered),
        enumerate(torch.split(torch.from_numpy(images[:GAIN_IMAGES]), 1)),
    )
    return SignalStatistics(
        {name: torch.stack([largest for largest, _ in seen]).mean(0) for name, seen in measured.items()},
        {name: torch.stack([square for _, square in seen]).mean(0) for name, seen in measured.items()},
        _means([each.gains for each in of_images]),
        _means([each.read_gains for each in of_images]),
        {name: joined([each.dynamic_ranges[name] for each in of_images]) for name in of_images[0].dynamic_ranges},
    )


def _gains_of_image(
    float_network: SimulatedNetwork, tensors: Collection[str], sampler: DynamicRangeSampler, number: int, image: Tensor
) -> SignalStatistics:
    """Measure the gains of one image (1, 3, H, W), and the dynamic ranges that it gives."""
    values: dict[str, Tensor] = {}

    def retain(name: str, value: Tensor) -> None:
        value.retain_grad()
        values[name] = value

    graph = float_network.graph
    network = _CopyingNetwork(graph, float_network.placement, float_network.layers)
    network.copies, network.dynamic_copies = {}, {}
    network.forward(image.clone().requires_grad_(), retain)
    outputs = [values[name] for name in graph.outputs]
    # Of several outputs, the error of each counts in parts of its own size.
    sizes = [float(output.detach().square().mean().sqrt()) if len(outputs) > 1 else 1.0 for output in outputs]
    draw = torch.Generator().manual_seed(number)
    projected = torch.stack(
        [
            (output * torch.randn(output.shape, generator=draw)).sum() / max(size, MIN_SIZE)
            for output, size in zip(outputs, sizes, strict=True)
        ]
    ).sum()
    projected.backward()  # type: ignore[no-untyped-call]
    gains, read_gains = (
        {
            name: found[name].grad.square().sum((0, 2, 3))  # type: ignore[union-attr]
            for name in sorted(tensors)
            if name in found and found[name].grad is not None
        }
        for found in (values, network.copies)
    )
    ranges = {
        convolution: sampler.sample(convolution, copy.detach(), copy.grad, number)
        for convolution, copy in network.dynamic_copies.items()
        if copy.grad is not None
    }
    return SignalStatistics(gains=gains, read_gains=read_gains, dynamic_ranges=ranges)


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


def _means(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each tensor, by name; all parts have the same ones."""
    return {name: torch.stack([part[name] for part in parts]).mean(0) for name in parts[0]}
