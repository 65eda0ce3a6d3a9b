"""Where channels are: shuffles carried as bookkeeping instead of being computed.

A tensor's *layout* lists, for each of its positions, the logical channel that stands there: the one that the original
network has at that number. Convolutions are free in both orders, since their weights can be permuted, so a shuffle
costs nothing until two tensors meet whose orders differ.

Two shuffle blocks in a row send a logical channel c of C to one of three places: into the first block (the upper half),
past it and into the second (the second quarter), or past both (the first quarter). A channel that passes both is
channel 4c of the module's output, where the same question is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Layout = tuple[int, ...]
Slots = tuple[int | None, ...]
DEPTH = 4  # of 64 channels one passes three modules; looking further ahead changes nothing


def natural(channels: int) -> Layout:
    """Channels in their own order."""
    return tuple(range(channels))


def by_fate(layout: Iterable[int], channels: int) -> Layout:
    """Input channels of a module, longest-lived first, so that each later choice among them is one slice."""

    def fate(channel: int) -> tuple[int, bool, int]:
        logical, passes = channel, 0
        while logical < channels // 4 and passes < DEPTH:
            logical, passes = 4 * logical, passes + 1
        return -passes, logical >= channels // 2, channel

    return tuple(sorted(layout, key=fate))


@dataclass(frozen=True)
class Stream:
    """How the channels of a tensor arrive.

    Attributes:
        layout: Logical channel at each position.
        scale: What its values must be multiplied with to be those of the original network; a power of two.
        padding: How many channels of zeros follow.
    """

    layout: Layout
    scale: float = 1.0
    padding: int = 0

    @property
    def channels(self) -> int:
        """How many channels of the original network it has."""
        return len(self.layout)

    @property
    def slots(self) -> Slots:
        """The channel in each of its positions; None for zeros."""
        return (*self.layout, *[None] * self.padding)


@dataclass(frozen=True)
class Piece:
    """Positions `start` to `stop` of tensor number `source`."""

    source: int
    start: int
    stop: int


def find(layouts: Sequence[Layout], wanted: frozenset[int]) -> tuple[list[Piece], Layout]:
    """The fewest slices of the given tensors that hold the wanted logical channels.

    Args:
        layouts: Of each tensor, in the same logical numbers; a channel stands in only one of them.
        wanted: Logical channels.

    Returns:
        The pieces, and the layout of their concatenation.
    """
    pieces: list[Piece] = []
    found: list[int] = []
    for source, layout in enumerate(layouts):
        start = None
        for position, channel in enumerate((*layout, None)):
            if channel is not None and channel in wanted:
                start = position if start is None else start
                found.append(channel)
            elif start is not None:
                pieces.append(Piece(source, start, position))
                start = None
    return pieces, tuple(found)
