"""Some of the dynamic ranges that come about on real crops, with what rounding to them does to the heatmaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgehr.calib.quantiser.dynamic import PIXEL, shared_range
from edgehr.calib.quantiser.graph import Graph, Operator

PIXELS = 12  # of every few crops


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
    """Keeps some ranges of tensors as they come about."""

    def __init__(self, graph: Graph, convolutions: Sequence[Operator]) -> None:
        self._readers: dict[str, list[Operator]] = defaultdict(list)
        for operator in convolutions:
            self._readers[operator.inputs[0]].append(operator)
        self._graph = graph
        self._draw = torch.Generator().manual_seed(0)
        self._found: dict[str, list[Ranges]] = defaultdict(list)

    def add(self, tensor: str, value: Tensor, gradient: Tensor) -> None:
        """Look at a tensor (N, C, H, W) and the gradient of the heatmaps projected in a random direction."""
        noise = gradient.square() * (value != 0)
        for operator in self._readers.get(tensor, []):
            alone = shared_range(self._graph, operator) == PIXEL
            self._found[operator.name].append(self._of_pixels(value, noise) if alone else _of_images(value, noise))

    def all(self) -> dict[str, Ranges]:
        """By name of the convolution."""
        return {name: _together(parts) for name, parts in self._found.items()}

    def _of_pixels(self, value: Tensor, noise: Tensor) -> Ranges:
        values, gains = (each.movedim(1, -1).flatten(0, 2) for each in (value, noise))
        drawn = torch.randint(len(values), (PIXELS,), generator=self._draw)
        each = len(values) / len(value) / PIXELS  # of the pixels of an image
        return Ranges(values[drawn].clamp(min=0), (-values[drawn]).clamp(min=0), gains[drawn] * each)


def _of_images(value: Tensor, noise: Tensor) -> Ranges:
    high, low = value.amax((2, 3)).clamp(min=0), (-value.amin((2, 3))).clamp(min=0)
    return Ranges(high, low, noise.sum((2, 3)) / len(value))


def _together(parts: Sequence[Ranges]) -> Ranges:
    """Ranges of several batches, each of which is the mean over its images."""
    high, low, gains = (torch.cat([getattr(part, name) for part in parts]) for name in ("high", "low", "gains"))
    return Ranges(high, low, gains / len(parts))
