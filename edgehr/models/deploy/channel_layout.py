"""Keep account of where channels are, so that shuffles, which only move them, need not be computed.

A rewritten tensor may hold the channels of the original one in another order. Convolutions read and write any order at
no cost, since their weights can be permuted, and sums over channels do not depend on it; so a shuffle costs nothing
until two tensors meet whose orders differ.

Two shuffle blocks in a row send channel c of C to one of three ends: the first block computes with it (the upper half),
only the second does (the second quarter), or neither (the first quarter). In the last case it is channel 4c of the
module's output, where the same question is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Number, in the original network, of the channel at each position.
Order = tuple[int, ...]
# The same with None where the rewritten tensor holds what the original one does not, or what a layer does not want.
PaddedOrder = tuple[int | None, ...]

LOOKAHEAD = 4  # of 64 channels one lives through three modules; looking further ahead changes nothing


def original_order(channels: int) -> Order:
    """List channels in the original network's order."""
    return tuple(range(channels))


def sort_by_lifetime(order: Iterable[int], channels: int) -> Order:
    """Sort input channels of a module by how many modules they cross unchanged, most first.

    Whatever lives equally long is side by side then, and each later choice among channels is one slice.

    Args:
        order: The channels to sort.
        channels: How many channels the module's input has.
    """

    def key(channel: int) -> tuple[int, bool, int]:
        number, crossed = channel, 0
        while number < channels // 4 and crossed < LOOKAHEAD:
            number, crossed = 4 * number, crossed + 1
        return -crossed, number >= channels // 2, channel

    return tuple(sorted(order, key=key))


@dataclass(frozen=True)
class ChannelLayout:
    """Order, scale and padding with which a rewritten tensor holds the channels of an original one.

    Attributes:
        order: The original channel at each position.
        scale: What its values must be multiplied with to be those of the original network; a power of two.
        padding: How many channels of zeros follow.
    """

    order: Order
    scale: float = 1.0
    padding: int = 0

    @property
    def channels(self) -> int:
        """Count the channels of the original network."""
        return len(self.order)

    @property
    def padded_order(self) -> PaddedOrder:
        """Give the original channel at each position, None for zeros."""
        return (*self.order, *[None] * self.padding)


@dataclass(frozen=True)
class ChannelSlice:
    """Positions `start` to `stop` of the channels of tensor number `tensor`."""

    tensor: int
    start: int
    stop: int


def find_slices(orders: Sequence[Order], wanted: frozenset[int]) -> tuple[list[ChannelSlice], Order]:
    """Find the fewest slices of some tensors that hold the wanted channels.

    Args:
        orders: Of each tensor, in numbers that they share; a channel is in only one of them.
        wanted: Numbers of the wanted channels.

    Returns:
        The slices, and the order of the channels in their concatenation.
    """
    slices: list[ChannelSlice] = []
    found: list[int] = []
    for tensor, order in enumerate(orders):
        start = None
        for position, channel in enumerate((*order, None)):
            if channel is not None and channel in wanted:
                start = position if start is None else start
                found.append(channel)
            elif start is not None:
                slices.append(ChannelSlice(tensor, start, position))
                start = None
    return slices, tuple(found)
