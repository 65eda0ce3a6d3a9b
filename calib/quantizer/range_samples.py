"""Some of the dynamic ranges that come about on real crops, with what rounding to them does to the heatmaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor

from edgehr.calib.quantizer.dynamic import PIXEL, shared_range
from edgehr.calib.quantizer.graph import Graph

PIXELS = 40  # of every few crops


@dataclass(frozen=True)
class Ranges:
    """R ranges that what a convolution reads is rounded to.

    Attributes:
        high: (R, C) how far each channel reaches above zero.
        low: (R, C) how far below it, as a positive number.
        gains: (R, C) squared error of all heatmaps of an image for noise of variance one in the values of a channel
            that are rounded to this range, and to all those that it stands for. Zeros stay zeros, and make no noise.
    """

    high: Tensor
    low: Tensor
    gains: Tensor


class RangeSampler:
    """Keeps some ranges of what convolutions read as it comes about."""

    def __init__(self, graph: Graph, convolutions: Collection[str]) -> None:
        wanted = [operator for operator in graph.convolutions if operator.name in convolutions]
        self._alone = {operator.name: shared_range(graph, operator) == PIXEL for operator in wanted}
        self._found: dict[str, list[Ranges]] = defaultdict(list)

    def add(self, convolution: str, value: Tensor, gradient: Tensor) -> None:
        """Look at what it reads (N, C, H, W), and at the gradient through it of heatmaps projected at random."""
        noise, parts = gradient.square() * (value != 0), self._found[convolution]
        seed = crc32(convolution.encode()) + len(parts)  # positions of its own, whatever other convolutions there are
        parts.append(_of_pixels(value, noise, seed) if self._alone[convolution] else _of_images(value, noise))

    def all(self) -> dict[str, Ranges]:
        """By name of the convolution."""
        return {name: _together(parts) for name, parts in self._found.items()}


def _of_pixels(value: Tensor, noise: Tensor, seed: int) -> Ranges:
    values, gains = (each.movedim(1, -1).flatten(0, 2) for each in (value, noise))
    drawn = torch.randint(len(values), (PIXELS,), generator=torch.Generator().manual_seed(seed))
    each = len(values) / len(value) / PIXELS  # of the pixels of an image
    return Ranges(values[drawn].clamp(min=0), (-values[drawn]).clamp(min=0), gains[drawn] * each)


def _of_images(value: Tensor, noise: Tensor) -> Ranges:
    high, low = value.amax((2, 3)).clamp(min=0), (-value.amin((2, 3))).clamp(min=0)
    return Ranges(high, low, noise.sum((2, 3)) / len(value))


def _together(parts: Sequence[Ranges]) -> Ranges:
    """Ranges of several batches, each of which is the mean over its images."""
    high, low, gains = (torch.cat([getattr(part, name) for part in parts]) for name in ("high", "low", "gains"))
    return Ranges(high, low, gains / len(parts))
