"""Blocks of conditional channel weighting whose channel weights are multiplied where tensors are small.

A block multiplies by gates (a value for each cell of the lowest resolution), filters each channel by itself and
multiplies each channel by a weight that its average decides. Such a weight passes averaging, so it can be multiplied
into what the next block pools, and into the gates of that block; whole maps are multiplied by it only where a module
ends. The averages are those of what was pooled, since all cells are equally large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.lite_hrnet import ConditionalChannelWeighting
from edgehr.models.deploy.cells import cells_of, from_cells
from edgehr.models.deploy.channel_layout import Slots, Stream, natural
from edgehr.models.deploy.folded import Folded, side_by_side
from edgehr.models.deploy.forms import Form
from edgehr.models.deploy.shuffle_blocks import masked, shuffled, upper_half


class Squeeze(nn.Module):
    """Two 1x1 convolutions on the concatenation of all branches and a sigmoid.

    Args:
        layers: The convolution that narrows, and the one that widens.
        streams: The branches.
        slots: For each branch and position, the number among the channels that compute, or None.
        form: How to write it down.
        separate: Whether the second is cut into one a branch.
    """

    def __init__(
        self, layers: Sequence[Folded], streams: list[Stream], slots: list[Slots], form: Form, *, separate: bool
    ) -> None:
        super().__init__()
        first, second = layers
        order = tuple(slot for part in slots for slot in part)
        scales = [stream.scale for stream in streams for _ in stream.slots]
        hidden = form.stream(natural(len(first.weight))).slots
        self.first = first.reading(order, scales).writing(hidden).build()
        parts = slots if separate else [order]
        self.second = nn.ModuleList(masked(second.reading(hidden), part).build() for part in parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, all channels, h, w) -> (N, C, h, w) for each branch, or one for all."""
        hidden = F.relu(self.first(x))
        return [torch.sigmoid(layer(hidden)) for layer in self.second]


class LateBlock(nn.Module):
    """The layers of one `ConditionalChannelWeighting`."""

    def __init__(self, original: ConditionalChannelWeighting, streams: list[Stream], form: Form) -> None:
        super().__init__()
        crossing: Any = original.cross_resolution_weighting
        weighing: Any = original.spatial_weighting
        computing = [_computing(stream) for stream in streams]
        starts = [sum(crossing.channels[:branch]) for branch in range(len(streams))]
        slots: list[Slots] = [
            tuple(None if i is None else start + i for i in part) for start, part in zip(starts, computing, strict=True)
        ]
        gates = [Folded.of_module(layer) for layer in (crossing.conv1, crossing.conv2)]
        weights = [
            side_by_side([Folded.of_module(branch.get_submodule(name)) for branch in weighing])
            for name in ("conv1", "conv2")
        ]
        self.gates = Squeeze(gates, streams, slots, form, separate=form.separate_gates)
        self.weights = Squeeze(weights, streams, slots, form, separate=form.multiple > 1)
        self.depthwise = nn.ModuleList(
            Folded.of_module(conv).along(part, stream.scale).build()  # type: ignore[arg-type]
            for conv, part, stream in zip(original.depthwise_convs, computing, streams, strict=True)
        )


def _computing(stream: Stream) -> Slots:
    """The number of each position among those that compute, or None."""
    return tuple(None if slot is None else upper_half(slot, stream.channels) for slot in stream.slots)


class LateWeighting(nn.Module):
    """Blocks in a row.

    Args:
        originals: The blocks.
        streams: What arrives.
        form: How to write it down.

    Attributes:
        streams: What leaves.
    """

    def __init__(self, originals: Sequence[ConditionalChannelWeighting], streams: list[Stream], form: Form) -> None:
        super().__init__()
        self.form = form
        self.widths = [len(stream.slots) for stream in streams]
        self.blocks = nn.ModuleList()
        for original in originals:
            self.blocks.append(LateBlock(original, streams, form))
            streams = [shuffled(stream) for stream in streams]
        self.streams = streams

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """One tensor a branch -> the same shapes."""
        pooled = self._pool(branches)
        whole = torch.cat(pooled, dim=1)
        weights: list[Tensor] = []  # of the block before
        for block in self.blocks:
            gates = self._by_branch(block.gates(self._weighted(whole, pooled, weights)))  # type: ignore[operator]
            late = self._by_branch(weights) if weights else [None] * len(branches)
            branches = [
                conv(self._gated(x, gate, weight))
                for conv, x, gate, weight in zip(block.depthwise, branches, gates, late, strict=True)  # type: ignore[arg-type]
            ]
            pooled = self._pool(branches)
            whole = torch.cat(pooled, dim=1)
            weights = block.weights(F.avg_pool2d(whole, whole.shape[2:]))  # type: ignore[operator]
        return self._each(branches, self._by_branch(weights))

    def _pool(self, branches: list[Tensor]) -> list[Tensor]:
        """All at the resolution of the last."""
        lowest = len(branches) - 1
        pool = averages if self.form.pool_by_conv else F.avg_pool2d
        return [*(pool(x, 2 ** (lowest - i)) for i, x in enumerate(branches[:-1])), branches[-1]]

    def _by_branch(self, parts: list[Tensor]) -> list[Tensor]:
        return list(torch.split(parts[0], self.widths, dim=1)) if len(parts) == 1 else parts

    def _weighted(self, whole: Tensor, parts: list[Tensor], weights: list[Tensor]) -> Tensor:
        """All branches, given together and one by one, times their weights, given in either way."""
        if not weights:
            return whole
        return whole * weights[0] if len(weights) == 1 else torch.cat(self._each(parts, weights), dim=1)

    def _each(self, tensors: list[Tensor], weights: list[Tensor]) -> list[Tensor]:
        return [x * self._spread(weight, x) for x, weight in zip(tensors, weights, strict=True)]

    def _spread(self, weight: Tensor, x: Tensor) -> Tensor:
        """(N, C, 1, 1), at the size of x for kernels that take channels in blocks: those want equal shapes."""
        if self.form.multiple == 1:
            return weight
        return F.interpolate(weight, scale_factor=(float(x.shape[2]), float(x.shape[3])))

    def _gated(self, x: Tensor, gate: Tensor, weight: Tensor | None) -> Tensor:
        """(N, C, H, W) by the gates (N, C, h, w) of its cells, and by the weights (N, C, 1, 1) of its channels."""
        scale = x.shape[2] // gate.shape[2]
        if self.form.broadcast and scale > 1:
            cells = cells_of(x, scale) * cells_of(gate, 1)
            return from_cells(cells if weight is None else cells * cells_of(weight, 1))
        if weight is not None:
            gate = gate * self._spread(weight, gate)
        return x * (F.interpolate(gate, scale_factor=float(scale)) if scale > 1 else gate)


def averages(x: Tensor, scale: int) -> Tensor:
    """Average pooling, (N, C, H, W) -> (N, C, H / scale, W / scale), as a depthwise convolution."""
    channels = x.shape[1]
    return F.conv2d(x, x.new_full((channels, 1, scale, scale), 1 / scale**2), stride=scale, groups=channels)
