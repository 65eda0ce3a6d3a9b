"""The head of HRNet's image classification, which merges the branches downwards."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.hrnet import Bottleneck

WIDTHS = (32, 64, 128, 256)  # of each branch's bottleneck, which returns four times as many channels
FEATURES = 2048


class ClassificationHead(nn.Module):
    """Widens each branch, adds it to the one above it downwards, and classifies the mean over all positions.

    Module names follow HRNet-Image-Classification and timm.
    """

    def __init__(self, channels: list[int], num_outputs: int) -> None:
        super().__init__()
        widened = [Bottleneck.expansion * width for width in WIDTHS]
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(inputs, width)) for inputs, width in zip(channels, WIDTHS, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
            for inputs, outputs in pairwise(widened)
        )
        self.final_layer = nn.Sequential(nn.Conv2d(widened[-1], FEATURES, 1), nn.BatchNorm2d(FEATURES), nn.ReLU())
        self.classifier = nn.Linear(FEATURES, num_outputs)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches, highest resolution (1/4) first, to logits (N, num_outputs)."""
        merged, *lower = [widen(x) for widen, x in zip(self.incre_modules, branches, strict=True)]
        for down, x in zip(self.downsamp_modules, lower, strict=True):
            merged = x + down(merged)
        pooled = self.final_layer(merged).mean(dim=(2, 3), keepdim=True)
        # The linear layer as a convolution, which quantizers know.
        weight = self.classifier.weight[:, :, None, None]
        return F.conv2d(pooled, weight, self.classifier.bias).flatten(1)
