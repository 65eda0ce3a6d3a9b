"""Heads that return maps at a quarter of the input's resolution: heatmaps of keypoints, or logits of classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def concatenate(branches: list[Tensor], align_corners: bool) -> Tensor:
    """Upsample branches, (N, C_i, H / 4 / 2**i, W / 4 / 2**i) each, to the first one's size, and concatenate them."""
    size = branches[0].shape[2:]
    up = [F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners) for x in branches[1:]]
    return torch.cat([branches[0], *up], dim=1)


class SingleBranchHead(nn.Module):
    """One 1x1 convolution of the highest-resolution branch, as HRNet V1 and Lite-HRNet have it."""

    def __init__(self, channels: list[int], num_outputs: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(channels[0], num_outputs, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches, highest resolution (1/4) first, to maps (N, num_outputs, H / 4, W / 4)."""
        result: Tensor = self.final_layer(branches[0])
        return result


class ConcatHead(nn.Module):
    """Two 1x1 convolutions of all branches, upsampled bilinearly and concatenated, as HRNet V2 has them.

    It is the head of the face networks, and mmseg's FCN head.
    """

    def __init__(self, channels: list[int], num_outputs: int, align_corners: bool = False) -> None:
        super().__init__()
        total = sum(channels)
        self._align_corners = align_corners
        self.conv_layers = nn.Sequential(nn.Conv2d(total, total, 1), nn.BatchNorm2d(total), nn.ReLU())
        self.final_layer = nn.Conv2d(total, num_outputs, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches, highest resolution (1/4) first, to maps (N, num_outputs, H / 4, W / 4)."""
        return self.classify(concatenate(branches, self._align_corners))

    def classify(self, features: Tensor) -> Tensor:
        """Map concatenated branches (N, C, H / 4, W / 4) to maps of the same size."""
        result: Tensor = self.final_layer(self.conv_layers(features))
        return result
