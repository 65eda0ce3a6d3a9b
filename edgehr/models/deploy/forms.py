"""Forms: how networks are rewritten for inference. Each target names its own, chosen by measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgehr.models.deploy.channel_layout import ChannelLayout, Order


@dataclass(frozen=True)
class Form:
    """A way to write Lite-HRNet down for inference. Every form computes the same function.

    Attributes:
        defer_weights: The weights of whole channels, which a block of conditional channel weighting takes from their
            averages, are multiplied into the gates of the next block, where tensors are small; those of all branches
            come from one pair of convolutions.
        separate_gates: One convolution a branch makes its gates, in place of one whose result is split.
        channel_multiple: Tensors get channels of zeros up to a multiple of this, for kernels that take channels in
            blocks.
        pool_by_conv: Average pooling is a depthwise convolution.
        broadcast: Maps of lower resolution are multiplied or added by broadcasting, channels last, and not resized
            first; see `edgehr.models.deploy.resolution`.
        joined_stem: One convolution of the stem makes what both its branches read; see
            `edgehr.models.deploy.lite_hrnet.DeployStem`.
        split: Shuffle blocks take tensors apart by splitting, and not by slicing.
        transpose_output: Heatmaps are turned from channels last to channels first by an operator of its own.
    """

    defer_weights: bool = False
    separate_gates: bool = False
    channel_multiple: int = 1
    pool_by_conv: bool = False
    broadcast: bool = False
    split: bool = False
    transpose_output: bool = False
    joined_stem: bool = False

    def pad(self, order: Order, scale: float = 1.0) -> ChannelLayout:
        """Lay out channels, with zeros behind them up to the next multiple."""
        return ChannelLayout(order, scale, -len(order) % self.channel_multiple)

    def for_shuffle_units(self) -> Form:
        """Leave out what does not pay for the naive networks: their blocks cut tensors in halves and have no gates."""
        return replace(self, channel_multiple=1, broadcast=False, joined_stem=False)


# The smallest: no shuffles and nothing else.
SHUFFLE_FREE = Form()
