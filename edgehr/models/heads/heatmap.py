"""What turns the branches of a backbone into outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeatmapHead(nn.Module):
    """V1 and Lite-HRNet: one 1x1 convolution on the highest-resolution branch."""

    def __init__(self, channels: list[int], outputs: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Branches, highest resolution (1/4) first -> (N, outputs, H / 4, W / 4) heatmaps."""
        result: Tensor = self.final_layer(branches[0])
        return result


class ConcatHeatmapHead(nn.Module):
    """V2: all four branches, upsampled bilinearly and concatenated, through two 1x1 convolutions."""

    def __init__(self, channels: list[int], outputs: int) -> None:
        super().__init__()
        total = sum(channels)
        self.conv_layers = nn.Sequential(nn.Conv2d(total, total, 1), nn.BatchNorm2d(total), nn.ReLU())
        self.final_layer = nn.Conv2d(total, outputs, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Branches, highest resolution (1/4) first -> (N, outputs, H / 4, W / 4) heatmaps."""
        size = branches[0].shape[2:]
        up = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in branches[1:]]
        result: Tensor = self.final_layer(self.conv_layers(torch.cat([branches[0], *up], dim=1)))
        return result
