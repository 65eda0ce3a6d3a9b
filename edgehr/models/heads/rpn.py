"""The region proposal network (Ren, He, Girshick, Sun: Faster R-CNN, 2015), named as mmdetection's `RPNHead`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RPNHead(nn.Module):
    """Says for each anchor of each level how likely it holds an object, and how its box is to be moved.

    Args:
        channels: Of the pyramid.
        anchors: At each place.
    """

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(channels, anchors, 1)
        self.rpn_reg = nn.Conv2d(channels, 4 * anchors, 1)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Map levels (N, C, h_i, w_i) to objectness logits (N, A, 1) and deltas (N, A, 4) of all A anchors.

        Anchors are in the order of levels, rows, columns, and those of a place.
        """
        found = [F.relu(self.rpn_conv(x)) for x in levels]
        objectness = [self.rpn_cls(x).permute(0, 2, 3, 1).flatten(1) for x in found]
        deltas = [self.rpn_reg(x).permute(0, 2, 3, 1).flatten(1) for x in found]
        batch = len(levels[0])
        return torch.cat(objectness, dim=1).reshape(batch, -1, 1), torch.cat(deltas, dim=1).reshape(batch, -1, 4)


class PyramidAndProposals(nn.Module):
    """Computes what a two-stage detector needs of a whole picture: features of regions to come, and where to look.

    Args:
        neck: Makes the pyramid.
        rpn: Looks at all its levels.
        levels: How many of them, the finest, regions are pooled from.
    """

    def __init__(self, neck: nn.Module, rpn: RPNHead, levels: int = 4) -> None:
        super().__init__()
        self.neck = neck
        self.rpn = rpn
        self._levels = levels

    def forward(self, branches: list[Tensor]) -> tuple[Tensor, ...]:
        """Map branches to objectness (N, A, 1), deltas (N, A, 4) and features (N, h_i, w_i, C), channels last."""
        pyramid = self.neck(branches)
        features = [level.permute(0, 2, 3, 1) for level in pyramid[: self._levels]]
        return (*self.rpn(pyramid), *features)
