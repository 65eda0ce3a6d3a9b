"""A sample of the dynamic ranges that real images give, with what rounding to them does to the output."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.simulation import PER_PIXEL, shared_range

PIXELS = 10  # of every image


@dataclass(frozen=True)
class DynamicRanges:
    """R ranges that the input of a convolution is rounded to.

    Attributes:
        high: (R, C) largest value of each channel, or zero.
        low: (R, C) least value of each channel, or zero, as a positive number.
        gains: (R, C) squared error of the output for an image, for noise of variance one in the values of a channel
            that are rounded to this range, and to all those that it stands for. Zeros stay zeros, and make no noise.
    """

    high: Tensor
    low: Tensor
    gains: Tensor


class DynamicRangeSampler:
    """Takes some of the ranges of convolutions with dynamic ranges, image by image."""

    def __init__(self, graph: Graph, convolutions: Collection[str]) -> None:
        wanted = [operator for operator in graph.convolutions if operator.name in convolutions]
        self._per_pixel = {operator.name: shared_range(graph, operator) == PER_PIXEL for operator in wanted}

    def sample(self, convolution: str, value: Tensor, gradient: Tensor, number: int) -> DynamicRanges:
        """Take ranges of the input of a convolution.

        Args:
            convolution: Its name.
            value: (1, C, H, W) its input.
            gradient: The gradient at the input of the output projected at random.
            number: Of the image: the same positions are drawn whatever was sampled before.
        """
        noise = gradient.square() * (value != 0)
        if not self._per_pixel[convolution]:
            return DynamicRanges(*_both_ways(value.amax((2, 3)), value.amin((2, 3))), noise.sum((2, 3)))
        values, gains = (each.movedim(1, -1).flatten(0, 2) for each in (value, noise))
        draw = torch.Generator().manual_seed(crc32(convolution.encode()) + number)
        drawn = torch.randint(len(values), (PIXELS,), generator=draw)
        weight = len(values) / PIXELS  # pixels of the image that each stands for
        return DynamicRanges(*_both_ways(values[drawn], values[drawn]), gains[drawn] * weight)


def joined(parts: Sequence[DynamicRanges]) -> DynamicRanges:
    """Return the ranges of several images as those of one, in whose noise each image has an equal share."""
    return DynamicRanges(
        torch.cat([part.high for part in parts]),
        torch.cat([part.low for part in parts]),
        torch.cat([part.gains for part in parts]) / len(parts),
    )


def _both_ways(high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    return high.clamp(min=0), (-low).clamp(min=0)
