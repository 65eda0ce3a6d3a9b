"""A sample of the dynamic ranges that real images give, with what rounding to them does to the output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.simulation import PER_PIXEL, shared_range

PIXELS = 40  # of every few images


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
    """Collects some of the ranges of convolutions with dynamic ranges, image by image."""

    def __init__(self, graph: Graph, convolutions: Collection[str]) -> None:
        wanted = [operator for operator in graph.convolutions if operator.name in convolutions]
        self._per_pixel = {operator.name: shared_range(graph, operator) == PER_PIXEL for operator in wanted}
        self._found: dict[str, list[DynamicRanges]] = defaultdict(list)

    def add(self, convolution: str, value: Tensor, gradient: Tensor) -> None:
        """Take ranges of the input of a convolution.

        Args:
            convolution: Its name.
            value: (N, C, H, W) its input.
            gradient: The gradient at the input of the output projected at random.
        """
        noise, parts = gradient.square() * (value != 0), self._found[convolution]
        if not self._per_pixel[convolution]:
            high, low = value.amax((2, 3)).clamp(min=0), (-value.amin((2, 3))).clamp(min=0)
            parts.append(DynamicRanges(high, low, noise.sum((2, 3)) / len(value)))
            return
        values, gains = (each.movedim(1, -1).flatten(0, 2) for each in (value, noise))
        # A seed for each convolution: the same positions whatever others there are.
        draw = torch.Generator().manual_seed(crc32(convolution.encode()) + len(parts))
        drawn = torch.randint(len(values), (PIXELS,), generator=draw)
        weight = len(values) / len(value) / PIXELS  # pixels of an image that each stands for
        parts.append(DynamicRanges(values[drawn].clamp(min=0), (-values[drawn]).clamp(min=0), gains[drawn] * weight))

    def ranges(self) -> dict[str, DynamicRanges]:
        """Return all ranges by the name of the convolution; each batch counts as the mean over its images."""
        return {
            name: DynamicRanges(
                torch.cat([part.high for part in parts]),
                torch.cat([part.low for part in parts]),
                torch.cat([part.gains for part in parts]) / len(parts),
            )
            for name, parts in self._found.items()
        }
