"""Heads of two-stage detectors, which look at the features of one region each.

Named as mmdetection's `Shared2FCBBoxHead` and `FCNMaskHead` (He, Gkioxari, Dollár, Girshick: Mask R-CNN, 2017).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BOX_SIZE, MASK_SIZE = 7, 14  # of the features of a region
HIDDEN = 1024
MASK_CONVS = 4


class BoxHead(nn.Module):
    """Says of what class a region is, and how its box is to be moved.

    Args:
        channels: Of the features.
        num_classes: Classes of the data set; the background comes after them.
        class_agnostic: Whether all classes share the deltas.
    """

    def __init__(self, channels: int, num_classes: int, class_agnostic: bool = False) -> None:
        super().__init__()
        self.shared_fcs = nn.ModuleList([nn.Linear(channels * BOX_SIZE**2, HIDDEN), nn.Linear(HIDDEN, HIDDEN)])
        self.fc_cls = nn.Linear(HIDDEN, num_classes + 1)
        self.fc_reg = nn.Linear(HIDDEN, 4 if class_agnostic else 4 * num_classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (R, 7, 7, C) to class logits (R, num_classes + 1) and deltas (R, 4) or (R, 4 num_classes)."""
        x = features.permute(0, 3, 1, 2).flatten(1)
        for layer in self.shared_fcs:
            x = F.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)


class ConvBias(nn.Module):
    """A 3x3 convolution and ReLU, under the name that mmcv gives it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, H, W) to the same shape."""
        return F.relu(self.conv(x))


class MaskHead(nn.Module):
    """Draws the mask of a region for each class.

    Args:
        channels: Of the features.
        num_classes: Classes of the data set.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(ConvBias(channels) for _ in range(MASK_CONVS)))
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.conv_logits = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (R, C, 14, 14) to logits (R, num_classes, 28, 28)."""
        result: Tensor = self.conv_logits(F.relu(self.upsample(self.convs(features))))
        return result


class MaskProbabilities(nn.Module):
    """Averages the probabilities of several mask heads for the same regions; the cascade has three.

    Args:
        heads: The mask heads.
    """

    def __init__(self, heads: list[MaskHead]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (R, 14, 14, C) to probabilities (R, num_classes, 28, 28)."""
        x = features.permute(0, 3, 1, 2)
        found = [torch.sigmoid(head(x)) for head in self.heads]
        return sum(found[1:], found[0]) / len(found)
