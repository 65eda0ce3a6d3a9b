"""Rewrite Lite-HRNet's blocks of conditional channel weighting on whole tensors.

A block's three steps are a multiplication by gates (a value for each channel and place at the lowest resolution), a
depthwise convolution, and a multiplication by a weight a channel, taken from its average. A channel goes through them
unchanged where gate and weight are one and the kernel is that of the identity. So there is nothing to split, to
concatenate or to shuffle: weights decide which channels the block computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.lite_hrnet import (
    ConditionalChannelWeighting,
    SpatialWeighting,
    pool_to_lowest,
    weigh_across,
)
from edgehr.models.deploy.channel_layout import ChannelLayout, PaddedOrder, original_order
from edgehr.models.deploy.folded_conv import FoldedConv, join_block_diagonal, missing_mask
from edgehr.models.deploy.forms import Form
from edgehr.models.deploy.resolution import average_pool_by_conv, from_patches, to_patches

# sigmoid(20) is 1 in float32.
BIAS_OF_ONE = 20.0


def write_gates(conv: FoldedConv, order: Sequence[int | None]) -> FoldedConv:
    """Write outputs of a convolution before a sigmoid in another order; None for one whose sigmoid must be one.

    Such a row has weights like the others and not zeros: its inputs come from a ReLU, so they can only add to what is
    beyond one already, and a quantizer, which gives each row a scale by its weights, could not express the bias of an
    empty one.
    """
    missing, rows = missing_mask(order), conv.with_outputs(order)
    weight = rows.weight.masked_fill(missing.reshape(-1, 1, 1, 1), float(conv.weight.abs().mean()))
    return replace(rows, weight=weight, bias=rows.bias.masked_fill(missing, BIAS_OF_ONE))


def computed_channels(layout: ChannelLayout) -> PaddedOrder:
    """Number what a block computes, the upper half of its channels; None for what goes through unchanged."""
    half = layout.channels // 2
    return tuple(None if i is None or i < half else i - half for i in layout.padded_order)


def concatenated(parts: Sequence[PaddedOrder], channels: Sequence[int]) -> list[PaddedOrder]:
    """Number the channels of branches as they are in the concatenation of all branches.

    Args:
        parts: The channels of each branch, in its own numbers.
        channels: How many there are of each branch.
    """
    starts = [sum(channels[:branch]) for branch in range(len(parts))]
    return [tuple(None if i is None else start + i for i in part) for start, part in zip(starts, parts, strict=True)]


def shuffle(layout: ChannelLayout) -> ChannelLayout:
    """Renumber channels as the shuffle that ends a block does; they stay where they are."""
    half = layout.channels // 2
    return replace(layout, order=tuple(2 * i if i < half else 2 * (i - half) + 1 for i in layout.order))


class DeploySpatialWeighting(nn.Module):
    """`SpatialWeighting` of the channels that a block computes; the others get weights of one."""

    def __init__(self, original: SpatialWeighting, order: PaddedOrder, scale: float) -> None:
        super().__init__()
        self.conv1 = FoldedConv.from_module(original.conv1).with_inputs(order, scale).build()
        self.conv2 = write_gates(FoldedConv.from_module(original.conv2), order).build()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weights = torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True)))))
        return x * weights


class DeployChannelWeighting(nn.Module):
    """A `ConditionalChannelWeighting` on whole tensors, step by step as the original has it."""

    def __init__(self, original: ConditionalChannelWeighting, layouts: list[ChannelLayout]) -> None:
        super().__init__()
        crossing = original.cross_resolution_weighting
        computed = [computed_channels(layout) for layout in layouts]
        order = [i for part in concatenated(computed, crossing.channels) for i in part]
        scales = [layout.scale for layout in layouts for _ in layout.padded_order]
        self.widths = [len(layout.padded_order) for layout in layouts]
        self.conv1 = FoldedConv.from_module(crossing.conv1).with_inputs(order, scales).build()
        self.conv2 = write_gates(FoldedConv.from_module(crossing.conv2), order).build()
        self.depthwise = nn.ModuleList(
            FoldedConv.from_module(conv).with_channels(part, layout.scale).build()  # type: ignore[arg-type]
            for conv, part, layout in zip(original.depthwise_convs, computed, layouts, strict=True)
        )
        self.weigh = nn.ModuleList(
            DeploySpatialWeighting(weigh, part, layout.scale)  # type: ignore[arg-type]
            for weigh, part, layout in zip(original.spatial_weighting, computed, layouts, strict=True)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to the same shapes."""
        gates = torch.sigmoid(self.conv2(F.relu(self.conv1(pool_to_lowest(branches)))))
        gated = weigh_across(branches, gates, self.widths)
        return [weigh(conv(x)) for conv, weigh, x in zip(self.depthwise, self.weigh, gated, strict=True)]


class Excitation(nn.Module):
    """Two 1x1 convolutions of the concatenation of all branches and a sigmoid, as in squeeze and excitation.

    Args:
        layers: The convolution that narrows, and the one that widens.
        layouts: How the branches arrive.
        orders: For each branch, its channels' numbers among those that are computed, of all branches; None for others.
        form: How to write it down.
        separate: Whether the second is cut into one a branch.
    """

    def __init__(
        self,
        layers: Sequence[FoldedConv],
        layouts: list[ChannelLayout],
        orders: list[PaddedOrder],
        form: Form,
        *,
        separate: bool,
    ) -> None:
        super().__init__()
        first, second = layers
        order = tuple(i for part in orders for i in part)
        scales = [layout.scale for layout in layouts for _ in layout.padded_order]
        hidden = form.pad(original_order(len(first.weight))).padded_order
        self.first = first.with_inputs(order, scales).with_outputs(hidden).build()
        parts = orders if separate else [order]
        self.second = nn.ModuleList(write_gates(second.with_inputs(hidden), part).build() for part in parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, all channels, h, w) to (N, C, h, w) for each branch, or to one tensor for all."""
        hidden = F.relu(self.first(x))
        return [torch.sigmoid(layer(hidden)) for layer in self.second]


class DeferredBlock(nn.Module):
    """The layers of one `ConditionalChannelWeighting` in a `DeferredChannelWeighting`."""

    def __init__(self, original: ConditionalChannelWeighting, layouts: list[ChannelLayout], form: Form) -> None:
        super().__init__()
        crossing: Any = original.cross_resolution_weighting
        spatial: Any = original.spatial_weighting
        computed = [computed_channels(layout) for layout in layouts]
        orders = concatenated(computed, crossing.channels)
        gates = [FoldedConv.from_module(layer) for layer in (crossing.conv1, crossing.conv2)]
        weights = [
            join_block_diagonal([FoldedConv.from_module(branch.get_submodule(name)) for branch in spatial])
            for name in ("conv1", "conv2")
        ]
        self.gates = Excitation(gates, layouts, orders, form, separate=form.separate_gates)
        self.weights = Excitation(weights, layouts, orders, form, separate=form.channel_multiple > 1)
        self.depthwise = nn.ModuleList(
            FoldedConv.from_module(conv).with_channels(part, layout.scale).build()  # type: ignore[arg-type]
            for conv, part, layout in zip(original.depthwise_convs, computed, layouts, strict=True)
        )


class DeferredChannelWeighting(nn.Module):
    """Blocks in a row whose channel weights are multiplied where tensors are small.

    The weight of a whole channel commutes with average pooling, so it can be multiplied into what the next block pools,
    and into the gates of that block; whole maps are multiplied by it only where a module ends. The averages that decide
    a weight are those of what was pooled, since each pooled value stands for equally many pixels.

    Args:
        originals: The blocks.
        layouts: How the branches arrive.
        form: How to write it down.

    Attributes:
        layouts: How the branches leave.
    """

    def __init__(
        self, originals: Sequence[ConditionalChannelWeighting], layouts: list[ChannelLayout], form: Form
    ) -> None:
        super().__init__()
        self.form = form
        self.widths = [len(layout.padded_order) for layout in layouts]
        self.blocks = nn.ModuleList()
        for original in originals:
            self.blocks.append(DeferredBlock(original, layouts, form))
            layouts = [shuffle(layout) for layout in layouts]
        self.layouts = layouts

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to the same shapes."""
        pooled = self._pool(branches)
        whole = torch.cat(pooled, dim=1)
        weights: list[Tensor] = []  # of the block before
        for block in self.blocks:
            if len(weights) == 1:
                whole = whole * weights[0]
            elif weights:
                whole = torch.cat(self._weigh(pooled, weights), dim=1)
            gates = self._by_branch(block.gates(whole))  # type: ignore[operator]
            deferred = self._by_branch(weights) if weights else [None] * len(branches)
            branches = [
                conv(self._gate(x, gate, weight))
                for conv, x, gate, weight in zip(block.depthwise, branches, gates, deferred, strict=True)  # type: ignore[arg-type]
            ]
            pooled = self._pool(branches)
            whole = torch.cat(pooled, dim=1)
            weights = block.weights(F.avg_pool2d(whole, whole.shape[2:]))  # type: ignore[operator]
        return self._weigh(branches, self._by_branch(weights))

    def _pool(self, branches: list[Tensor]) -> list[Tensor]:
        """Bring all branches to the resolution of the last."""
        lowest = len(branches) - 1
        pool = average_pool_by_conv if self.form.pool_by_conv else F.avg_pool2d
        return [*(pool(x, 2 ** (lowest - i)) for i, x in enumerate(branches[:-1])), branches[-1]]

    def _by_branch(self, parts: list[Tensor]) -> list[Tensor]:
        """Split what is one tensor for all branches."""
        return list(torch.split(parts[0], self.widths, dim=1)) if len(parts) == 1 else parts

    def _weigh(self, tensors: list[Tensor], weights: list[Tensor]) -> list[Tensor]:
        return [x * self._resize(weight, x) for x, weight in zip(tensors, weights, strict=True)]

    def _resize(self, weight: Tensor, x: Tensor) -> Tensor:
        """Bring (N, C, 1, 1) to the size of x for kernels that take channels in blocks: those want equal shapes."""
        if self.form.channel_multiple == 1:
            return weight
        return F.interpolate(weight, scale_factor=(float(x.shape[2]), float(x.shape[3])))

    def _gate(self, x: Tensor, gate: Tensor, weight: Tensor | None) -> Tensor:
        """Multiply (N, C, H, W) by gates (N, C, h, w), upsampled, and by the weights (N, C, 1, 1) of its channels."""
        scale = x.shape[2] // gate.shape[2]
        if self.form.broadcast and scale > 1:
            patches = to_patches(x, scale) * to_patches(gate, 1)
            return from_patches(patches if weight is None else patches * to_patches(weight, 1))
        if weight is not None:
            gate = gate * self._resize(weight, gate)
        return x * (F.interpolate(gate, scale_factor=float(scale)) if scale > 1 else gate)


def rewrite_weighting(
    originals: Sequence[ConditionalChannelWeighting], layouts: list[ChannelLayout], form: Form
) -> tuple[nn.Module, list[ChannelLayout]]:
    """Rewrite blocks of conditional channel weighting in a row.

    Args:
        originals: The blocks.
        layouts: How the branches arrive.
        form: How to write them down.

    Returns:
        The module, and how the branches leave.
    """
    if form.defer_weights:
        deferred = DeferredChannelWeighting(originals, layouts, form)
        return deferred, deferred.layouts
    blocks = []
    for original in originals:
        blocks.append(DeployChannelWeighting(original, layouts))
        layouts = [shuffle(layout) for layout in layouts]
    return nn.Sequential(*blocks), layouts
