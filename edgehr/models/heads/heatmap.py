"""Heads that turn the branches of a backbone into heatmaps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeatmapHead(nn.Module):
    """One 1x1 convolution of the highest-resolution branch, as HRNet V1 and Lite-HRNet have it."""

    def __init__(self, channels: list[int], num_outputs: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(channels[0], num_outputs, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches, highest resolution (1/4) first, to heatmaps (N, num_outputs, H / 4, W / 4)."""
        result: Tensor = self.final_layer(branches[0])
        return result


class ConcatHeatmapHead(nn.Module):
    """Two 1x1 convolutions of all branches, upsampled bilinearly and concatenated, as HRNet V2 has them."""

    def __init__(self, channels: list[int], num_outputs: int) -> None:
        super().__init__()
        total = sum(channels)
        self.conv_layers = nn.Sequential(nn.Conv2d(total, total, 1), nn.BatchNorm2d(total), nn.ReLU())
        self.final_layer = nn.Conv2d(total, num_outputs, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches, highest resolution (1/4) first, to heatmaps (N, num_outputs, H / 4, W / 4)."""
        size = branches[0].shape[2:]
        up = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in branches[1:]]
        result: Tensor = self.final_layer(self.conv_layers(torch.cat([branches[0], *up], dim=1)))
        return result
