"""The shuffle blocks of Lite-HRNet without their shuffles: two in a row, as every fusion module has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.lite_hrnet import (
    ConditionalChannelWeighting,
    ShuffleUnit,
    SpatialWeighting,
    pool_to_lowest,
    weigh_across,
)
from edgehr.models.deploy.channel_layout import Layout, Piece, Stream, by_fate, find, natural
from edgehr.models.deploy.folded import Folded, missing_from, pair


class Gather(nn.Module):
    """Concatenated slices of the channels of several tensors.

    Args:
        pieces: The slices.
        widths: Channels of the tensors.
        split: Get them by splitting, of which TensorRT's parser makes few layers; of a slice it makes some twenty.
    """

    def __init__(self, pieces: list[Piece], widths: list[int], *, split: bool = False) -> None:
        super().__init__()
        self.pieces = [(piece.source, piece.start, piece.stop) for piece in pieces]
        self.widths = widths
        self.split = split

    def forward(self, *tensors: Tensor) -> Tensor:
        """(N, C_i, H, W) each -> (N, C, H, W)."""
        if self.split:
            parts = [self._parts(number, x) for number, x in enumerate(tensors)]
            slices = [parts[source][start] for source, start, _ in self.pieces]
        else:
            slices = [
                tensors[source] if (start, stop) == (0, self.widths[source]) else tensors[source][:, start:stop]
                for source, start, stop in self.pieces
            ]
        return slices[0] if len(slices) == 1 else torch.cat(slices, dim=1)

    def _parts(self, source: int, x: Tensor) -> dict[int, Tensor]:
        """One tensor, cut wherever one of its pieces starts or ends; by where a part starts."""
        pieces = [(start, stop) for number, start, stop in self.pieces if number == source]
        cuts = sorted({0, self.widths[source], *(cut for piece in pieces for cut in piece)})
        if len(cuts) == 2:
            return {0: x}
        sizes = [stop - start for start, stop in pairwise(cuts)]
        return dict(zip(cuts, torch.split(x, sizes, dim=1), strict=False))


@dataclass(frozen=True)
class Paths:
    """The way of the channels through two shuffle blocks.

    With x the input, y what the first block computes and z what the second does, the blocks read x[C/2:], then x and y
    from C/4 on to C/2, interleaved; the output has x[i] at 4i, y[i] at 4i + 2 (i < C/4) and z[i] at 2i + 1.

    Attributes:
        stream: The input.
        y: Layout of the first block's result, in its own numbers.
        z: The same of the second's.
        output: The output's stream.
        gather: Pieces of x, y, z that are the output.
    """

    stream: Stream
    y: Layout
    z: Layout
    output: Stream
    gather: list[Piece]

    @classmethod
    def of(cls, stream: Stream) -> Paths:
        """Plan for an input."""
        channels = stream.channels
        half, quarter = channels // 2, channels // 4
        # Channels that live on end what y has of them and begin z, so that they are neighbors in the output.
        passing = [(channel - 2) // 4 for channel in by_fate([4 * i + 2 for i in range(quarter)], channels)]
        y = (*range(quarter, half), *reversed(passing))
        z = tuple((channel - 1) // 2 for channel in by_fate([2 * i + 1 for i in range(half)], channels))
        outputs = [
            tuple(4 * i if i < quarter else -1 - i for i in stream.layout),
            tuple(4 * i + 2 if i < quarter else -1 - i for i in y),
            tuple(2 * i + 1 for i in z),
        ]
        gather, layout = find(outputs, frozenset(range(channels)))
        return cls(stream, y, z, Stream(layout, stream.scale), gather)

    def read_second(self, layout: Layout, offset: int) -> list[int | None]:
        """What each channel of x (offset 0) or y (offset C) is to the second block; None for what it does not read."""
        channels = self.stream.channels
        half, quarter = channels // 2, channels // 4
        return [_second_input(i + offset, channels) if quarter <= i < half else None for i in layout]

    @property
    def widths(self) -> list[int]:
        """Channels of x, y and z."""
        return [self.stream.channels, len(self.y), len(self.z)]


def _second_input(channel: int, channels: int) -> int:
    """Number in the second block's input of channel i of x (given as i) or y (given as C + i)."""
    i, is_y = (channel - channels, 1) if channel >= channels else (channel, 0)
    return 2 * i + is_y - channels // 2


class ShuffleUnits(nn.Module):
    """Two `ShuffleUnit`s of one branch.

    The first 1x1 convolution of each reads whole tensors, with zero weights for channels that pass it by: a few more
    multiply-adds in place of slices.
    """

    def __init__(self, first: ShuffleUnit, second: ShuffleUnit, paths: Paths, *, split: bool) -> None:
        super().__init__()
        scale, half = paths.stream.scale, paths.stream.channels // 2
        channels, inner = paths.stream.channels, Stream(natural(half))
        enter, depthwise, leave = (Folded.of_module(layer) for layer in first.branch2)  # type: ignore[arg-type]
        self.enter1 = enter.reading([upper_half(i, channels) for i in paths.stream.layout], scale).build()
        self.rest1 = pair(depthwise, leave, inner, Stream(paths.y, scale))
        enter, depthwise, leave = (Folded.of_module(layer) for layer in second.branch2)  # type: ignore[arg-type]
        read = paths.read_second(paths.stream.layout, 0) + paths.read_second(paths.y, channels)
        self.enter2 = enter.reading(read, scale).build()
        self.rest2 = pair(depthwise, leave, inner, Stream(paths.z, scale))
        self.gather = Gather(paths.gather, paths.widths, split=split)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        y = self.rest1(F.relu(self.enter1(x)))
        z = self.rest2(F.relu(self.enter2(torch.cat([x, y], dim=1))))
        result: Tensor = self.gather(x, y, z)
        return result


# sigmoid(20) is 1 in float32: a weight of one, for channels that a block lets pass.
PASS = 20.0


def masked(conv: Folded, layout: Sequence[int | None]) -> Folded:
    """A convolution before a sigmoid, writing the given channels; None for a position whose weight must be one.

    Such a row has weights like the others and not zeros: its inputs come from a ReLU, so they can only add to what is
    beyond one already, and a quantizer, which gives each row a scale by its weights, could not express the bias of an
    empty one.
    """
    passed, rows = missing_from(layout), conv.writing(layout)
    weight = rows.weight.masked_fill(passed.reshape(-1, 1, 1, 1), float(conv.weight.abs().mean()))
    return replace(rows, weight=weight, bias=rows.bias.masked_fill(passed, PASS))


class Weighting(nn.Module):
    """`SpatialWeighting` of the channels that a block computes, among those it lets pass."""

    def __init__(self, original: SpatialWeighting, layout: Sequence[int | None], scale: float) -> None:
        super().__init__()
        self.conv1 = Folded.of_module(original.conv1).reading(layout, scale).build()
        self.conv2 = masked(Folded.of_module(original.conv2), layout).build()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        weights = torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True)))))
        return x * weights


class ConditionalWeighting(nn.Module):
    """A `ConditionalChannelWeighting` on whole tensors.

    The block's three steps are a multiplication, a depthwise convolution and a multiplication, so a channel passes
    them unchanged where the weights are one and the kernel is that of the identity. Then there is nothing to split,
    to concatenate or to shuffle: which channels compute is decided by weights.
    """

    def __init__(self, original: ConditionalChannelWeighting, streams: list[Stream]) -> None:
        super().__init__()
        crossing = original.cross_resolution_weighting
        # For each branch and position the number among the channels that compute, or None.
        computing = [[upper_half(i, stream.channels) for i in stream.layout] for stream in streams]
        starts = [sum(crossing.channels[:branch]) for branch in range(len(streams))]
        order = [
            None if i is None else start + i for start, layout in zip(starts, computing, strict=True) for i in layout
        ]
        scales = [stream.scale for stream in streams for _ in stream.layout]
        self.channels = [stream.channels for stream in streams]
        self.conv1 = Folded.of_module(crossing.conv1).reading(order, scales).build()
        self.conv2 = masked(Folded.of_module(crossing.conv2), order).build()
        self.depthwise = nn.ModuleList(
            Folded.of_module(conv).along(layout, stream.scale).build()  # type: ignore[arg-type]
            for conv, layout, stream in zip(original.depthwise_convs, computing, streams, strict=True)
        )
        self.weigh = nn.ModuleList(
            Weighting(weigh, layout, stream.scale)  # type: ignore[arg-type]
            for weigh, layout, stream in zip(original.spatial_weighting, computing, streams, strict=True)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """One tensor a branch -> the same shapes."""
        weights = torch.sigmoid(self.conv2(F.relu(self.conv1(pool_to_lowest(branches)))))
        weighted = weigh_across(branches, weights, self.channels)
        return [weigh(conv(x)) for conv, weigh, x in zip(self.depthwise, self.weigh, weighted, strict=True)]


def upper_half(channel: int, channels: int) -> int | None:
    """Number of a block's input channel among those it computes, or None where it passes."""
    return channel - channels // 2 if channel >= channels // 2 else None


def shuffled(stream: Stream) -> Stream:
    """The numbers of the same channels after a shuffle of two halves."""
    half = stream.channels // 2
    layout = tuple(2 * i if i < half else 2 * (i - half) + 1 for i in stream.layout)
    return replace(stream, layout=layout)


def naive_blocks(original: nn.Module, streams: list[Stream], *, split: bool) -> tuple[nn.Module, list[Stream]]:
    """Two shuffle blocks on each branch, and how the branches leave; `split` as `Gather` has it."""
    paths = [Paths.of(stream) for stream in streams]
    branches = [
        ShuffleUnits(two[0], two[1], path, split=split)
        for two, path in zip(original, paths, strict=True)  # type: ignore[call-overload]
    ]
    return Parallel(branches), [path.output for path in paths]


def conditional_blocks(original: nn.Module, streams: list[Stream]) -> tuple[nn.Module, list[Stream]]:
    """Blocks of conditional channel weighting across all branches, and how the branches leave."""
    blocks = []
    for block in original:  # type: ignore[attr-defined]
        blocks.append(ConditionalWeighting(block, streams))
        streams = [shuffled(stream) for stream in streams]
    return nn.Sequential(*blocks), streams


class Parallel(nn.Module):
    """One module a branch."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """One tensor a branch -> one a branch."""
        return [module(x) for module, x in zip(self.branches, branches, strict=True)]
