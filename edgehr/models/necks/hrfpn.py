"""HRFPN: the pyramid of HRNetV2p, made of all branches at once.

Sun et al.: High-Resolution Representations for Labeling Pixels and Regions, 2019. Names follow mmdetection's `HRFPN`,
so that its checkpoints load by name.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.heads.dense import concatenate

CHANNELS = 256


class ConvModule(nn.Module):
    """A convolution with a bias, under the name that mmcv gives it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        result: Tensor = self.conv(x)
        return result


class HRFPN(nn.Module):
    """Concatenates all branches, reduces their channels, and makes each level of the pyramid from that map.

    Args:
        channels: Of the branches, the highest resolution first.
        levels: How many to make.
        stride: Of the last convolution of each level. With 1 their strides are 4, 8, 16, ..., with 2 (FCOS) twice as
            much.
    """

    def __init__(self, channels: list[int], levels: int = 5, stride: int = 1) -> None:
        super().__init__()
        self.reduction_conv = ConvModule(sum(channels), CHANNELS, 1)
        self.fpn_convs = nn.ModuleList(ConvModule(CHANNELS, CHANNELS, 3, stride) for _ in range(levels))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map branches (N, C_i, H / 4 / 2**i, W / 4 / 2**i) to levels (N, 256, h_i, w_i), the finest first.

        Each level is pooled from the finest map, not from the level before it, and rounds its size down.
        """
        whole = self.reduction_conv(concatenate(branches, align_corners=False))
        pooled = [F.avg_pool2d(whole, 2**level) if level else whole for level in range(len(self.fpn_convs))]
        return [conv(x) for conv, x in zip(self.fpn_convs, pooled, strict=True)]
