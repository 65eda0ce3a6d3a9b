"""The head of FCOS (Tian, Shen, Chen, He: FCOS: Fully Convolutional One-Stage Object Detection, 2019).

Names follow mmdetection's `FCOSHead`, so that its checkpoints load by name.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32
CONVS = 4


class ConvNorm(nn.Module):
    """A 3x3 convolution, group norm and ReLU, under the names that mmcv gives them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.gn = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return F.relu(self.gn(self.conv(x)))


class Scale(nn.Module):
    """A learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by it."""
        return x * self.scale


class FCOSHead(nn.Module):
    """Says for each place of each level which class is there, how far its box reaches, and how central the place is.

    Both towers are shared by all levels. Centerness hangs on the tower of classes.

    Args:
        num_classes: Classes of the data set.
        levels: Of the pyramid.
        channels: Of the pyramid.
    """

    def __init__(self, num_classes: int, levels: int, channels: int) -> None:
        super().__init__()
        self.cls_convs = nn.Sequential(*(ConvNorm(channels) for _ in range(CONVS)))
        self.reg_convs = nn.Sequential(*(ConvNorm(channels) for _ in range(CONVS)))
        self.conv_cls = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.conv_reg = nn.Conv2d(channels, 4, 3, padding=1)
        self.conv_centerness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in range(levels))

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Map levels (N, C, h_i, w_i) to class logits, boxes and centerness logits of all A places.

        Returns:
            (N, A, num_classes), (N, A, 4) left, top, right, bottom in input pixels, (N, A, 1).
        """
        found = [
            (self.conv_cls(x), self.conv_reg(y), self.conv_centerness(x), scale)
            for x, y, scale in (
                (self.cls_convs(x), self.reg_convs(x), s) for x, s in zip(levels, self.scales, strict=True)
            )
        ]
        return (
            join_places([classes for classes, _, _, _ in found]),
            join_places([torch.exp(scale(sides)) for _, sides, _, scale in found]),
            join_places([centerness for _, _, centerness, _ in found]),
        )


def join_places(maps: list[Tensor]) -> Tensor:
    """Join maps (N, C, h_i, w_i) of all levels to (N, A, C), row by row, the finest level first."""
    return torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)
