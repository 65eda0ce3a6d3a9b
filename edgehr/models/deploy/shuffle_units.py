"""Rewrite the shuffle blocks of the naive networks without shuffles: two in a row, as every fusion module has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.lite_hrnet import ShuffleUnit
from edgehr.models.deploy.channel_layout import (
    ChannelLayout,
    ChannelSlice,
    Order,
    find_slices,
    original_order,
    sort_by_lifetime,
)
from edgehr.models.deploy.folded_conv import FoldedConv, build_separable


class ConcatSlices(nn.Module):
    """Concatenate slices of the channels of several tensors.

    Args:
        slices: The slices.
        widths: Channels of the tensors.
        split: Get them by splitting, of which TensorRT's parser makes few layers; of a slice it makes some twenty.
    """

    def __init__(self, slices: list[ChannelSlice], widths: list[int], *, split: bool = False) -> None:
        super().__init__()
        self.slices = [(entry.tensor, entry.start, entry.stop) for entry in slices]
        self.widths = widths
        self.split = split

    def forward(self, *tensors: Tensor) -> Tensor:
        """Map tensors (N, C_i, H, W) to (N, C, H, W)."""
        if self.split:
            parts = [self._split(number, x) for number, x in enumerate(tensors)]
            slices = [parts[number][start] for number, start, _ in self.slices]
        else:
            slices = [
                tensors[number] if (start, stop) == (0, self.widths[number]) else tensors[number][:, start:stop]
                for number, start, stop in self.slices
            ]
        return slices[0] if len(slices) == 1 else torch.cat(slices, dim=1)

    def _split(self, number: int, x: Tensor) -> dict[int, Tensor]:
        """Split one tensor wherever one of its slices starts or ends; returns the parts by where they start."""
        slices = [(start, stop) for tensor, start, stop in self.slices if tensor == number]
        cuts = sorted({0, self.widths[number], *(cut for entry in slices for cut in entry)})
        if len(cuts) == 2:
            return {0: x}
        sizes = [stop - start for start, stop in pairwise(cuts)]
        return dict(zip(cuts, torch.split(x, sizes, dim=1), strict=False))


@dataclass(frozen=True)
class UnitPairPlan:
    """The way of the channels through two shuffle blocks.

    With x the input, y what the first block computes and z what the second does, the blocks read x[C/2:], then x and y
    from C/4 on to C/2, interleaved; the output has x[i] at 4i, y[i] at 4i + 2 (i < C/4) and z[i] at 2i + 1.

    Attributes:
        source: How x holds its channels.
        y: Order of y, in its own numbers.
        z: Order of z, in its own numbers.
        output: How the output holds its channels.
        slices: Of x, y and z, that are the output one after the other.
    """

    source: ChannelLayout
    y: Order
    z: Order
    output: ChannelLayout
    slices: list[ChannelSlice]

    @classmethod
    def of(cls, source: ChannelLayout) -> UnitPairPlan:
        """Plan for an input."""
        channels = source.channels
        half, quarter = channels // 2, channels // 4
        # What y has of the output is at its end, the longest-lived channels last, and z begins with those that live
        # long: so they are neighbors in the output.
        direct = [(channel - 2) // 4 for channel in sort_by_lifetime([4 * i + 2 for i in range(quarter)], channels)]
        y = (*range(quarter, half), *reversed(direct))
        z = tuple((channel - 1) // 2 for channel in sort_by_lifetime([2 * i + 1 for i in range(half)], channels))
        outputs = [
            tuple(4 * i if i < quarter else -1 - i for i in source.order),
            tuple(4 * i + 2 if i < quarter else -1 - i for i in y),
            tuple(2 * i + 1 for i in z),
        ]
        slices, order = find_slices(outputs, frozenset(range(channels)))
        return cls(source, y, z, ChannelLayout(order, source.scale), slices)

    def second_inputs(self) -> list[int | None]:
        """Number the channels of x and y, concatenated, as inputs of the second block; None where it reads none."""
        half, quarter = self.source.channels // 2, self.source.channels // 4
        x = [2 * i - half if quarter <= i < half else None for i in self.source.order]
        return x + [2 * i + 1 - half if quarter <= i < half else None for i in self.y]


class ShuffleUnitPair(nn.Module):
    """Two `ShuffleUnit`s of one branch.

    The first 1x1 convolution of each reads whole tensors, with zero weights for channels that are not its block's: a
    few more multiply-adds in place of slices.
    """

    def __init__(self, first: ShuffleUnit, second: ShuffleUnit, plan: UnitPairPlan, *, split: bool) -> None:
        super().__init__()
        scale, channels = plan.source.scale, plan.source.channels
        hidden = ChannelLayout(original_order(channels // 2))
        first_inputs = [i - channels // 2 if i >= channels // 2 else None for i in plan.source.order]
        enter, depthwise, leave = (FoldedConv.from_module(layer) for layer in first.branch2)  # type: ignore[arg-type]
        self.enter1 = enter.with_inputs(first_inputs, scale).build()
        self.rest1 = build_separable(depthwise, leave, hidden, ChannelLayout(plan.y, scale))
        enter, depthwise, leave = (FoldedConv.from_module(layer) for layer in second.branch2)  # type: ignore[arg-type]
        self.enter2 = enter.with_inputs(plan.second_inputs(), scale).build()
        self.rest2 = build_separable(depthwise, leave, hidden, ChannelLayout(plan.z, scale))
        self.concat = ConcatSlices(plan.slices, [channels, len(plan.y), len(plan.z)], split=split)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = self.rest1(F.relu(self.enter1(x)))
        z = self.rest2(F.relu(self.enter2(torch.cat([x, y], dim=1))))
        result: Tensor = self.concat(x, y, z)
        return result


class ParallelBranches(nn.Module):
    """One module a branch."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to one a branch."""
        return [module(x) for module, x in zip(self.branches, branches, strict=True)]


def rewrite_units(
    original: nn.Module, layouts: list[ChannelLayout], *, split: bool
) -> tuple[nn.Module, list[ChannelLayout]]:
    """Rewrite two shuffle blocks on each branch.

    Args:
        original: For each branch, its two `ShuffleUnit`s.
        layouts: How the branches arrive.
        split: See `ConcatSlices`.

    Returns:
        The module, and how the branches leave.
    """
    plans = [UnitPairPlan.of(layout) for layout in layouts]
    branches = [
        ShuffleUnitPair(units[0], units[1], plan, split=split)
        for units, plan in zip(original, plans, strict=True)  # type: ignore[call-overload]
    ]
    return ParallelBranches(branches), [plan.output for plan in plans]
