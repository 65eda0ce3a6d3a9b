"""What a convolution's least-squares fit needs to know of its inputs and the outputs it should give."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from edgehr.calib.quantizer.graph import Operator, is_depthwise
from edgehr.calib.quantizer.operators import padding_of

# Multiply-adds of one layer's second moments, about a second of one core: positions are drawn where there are more.
MOST_WORK = 1e11
CHUNK = 8  # crops unfolded at a time: what bounds memory


@dataclass(frozen=True)
class Moments:
    """Means and centered second moments over positions, in float64; G groups, 1 unless depthwise.

    Attributes:
        inputs: (G, C) mean of each input of an output: C is channels of a group times height and width of the filter.
        outputs: (G, R) mean of each output.
        hessian: (G, C, C) covariance of the inputs.
        cross: (G, R, C) covariance of outputs with inputs.
        positions: How many there were.
    """

    inputs: Tensor
    outputs: Tensor
    hessian: Tensor
    cross: Tensor
    positions: int

    @classmethod
    def of(cls, operator: Operator, weight: Tensor, data: Tensor, wanted: Tensor) -> Moments:
        """Measure them.

        Args:
            operator: The convolution.
            weight: Its filter.
            data: (N, in, H, W) what it takes.
            wanted: (N, out, h, w) what it should give.
        """
        groups = len(weight) if is_depthwise(weight.numpy()) else 1
        columns = prod(weight.shape[1:])
        total = wanted.shape[0] * wanted.shape[2] * wanted.shape[3]
        most = max(int(MOST_WORK / (groups * columns**2)), 8 * columns)
        draw = torch.Generator().manual_seed(0)  # the same positions in every run
        sums = _Sums(groups, len(weight) // groups, columns)
        for start in range(0, len(data), CHUNK):
            patches = _patches(operator, weight, data[start : start + CHUNK], groups)
            targets = wanted[start : start + CHUNK].transpose(0, 1).reshape(groups, len(weight) // groups, -1)
            if total > most:
                count = patches.shape[2]
                drawn = torch.randperm(count, generator=draw)[: max(count * most // total, 1)]
                patches, targets = patches[:, :, drawn], targets[:, :, drawn]
            sums.add(patches, targets)
        return sums.moments()


class _Sums:
    """Sums over positions: products of a few crops in float32, and those of all in float64."""

    def __init__(self, groups: int, rows: int, columns: int) -> None:
        double = torch.float64
        self.inputs, self.outputs = torch.zeros(groups, columns, dtype=double), torch.zeros(groups, rows, dtype=double)
        self.squares = torch.zeros(groups, columns, columns, dtype=double)
        self.cross = torch.zeros(groups, rows, columns, dtype=double)
        self.count = 0

    def add(self, patches: Tensor, targets: Tensor) -> None:
        """Of (G, C, M) and (G, R, M)."""
        self.count += patches.shape[2]
        self.inputs += patches.sum(2).double()
        self.outputs += targets.sum(2).double()
        turned = patches.transpose(1, 2)
        self.squares += (patches @ turned).double()
        self.cross += (targets @ turned).double()

    def moments(self) -> Moments:
        """Of all that was added."""
        inputs, outputs = self.inputs / self.count, self.outputs / self.count
        hessian = self.squares / self.count - inputs[:, :, None] * inputs[:, None]
        cross = self.cross / self.count - outputs[:, :, None] * inputs[:, None]
        return Moments(inputs, outputs, hessian, cross, self.count)


def _patches(operator: Operator, weight: Tensor, data: Tensor, groups: int) -> Tensor:
    """(N, in, H, W) -> (G, C, N * h * w): what each output is a product with."""
    size, strides = weight.shape[2:], operator.attributes.get("strides", [1, 1])
    padding = padding_of(operator)
    if tuple(size) == (1, 1) and list(strides) == [1, 1] and padding == (0, 0):
        columns = data.flatten(2)
    else:
        columns = F.unfold(data, size, padding=padding, stride=strides)
    split = columns.reshape(len(data), groups, -1, columns.shape[2])
    return split.permute(1, 2, 0, 3).reshape(groups, split.shape[2], -1)
