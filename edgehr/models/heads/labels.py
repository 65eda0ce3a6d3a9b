"""Labels in place of logits: what a device needs of a segmentation network is the number of each pixel's class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 4  # of the maps that heads return


class ToLabels(nn.Module):
    """Upsamples logits of at most 256 classes to the image's size, and takes the class of the largest.

    Args:
        align_corners: How the logits are upsampled, as in training.
    """

    def __init__(self, align_corners: bool = False) -> None:
        super().__init__()
        self._align_corners = align_corners

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits (N, C, H / 4, W / 4) to labels (N, H, W), uint8."""
        size = [STRIDE * side for side in logits.shape[2:]]
        whole = F.interpolate(logits, size=size, mode="bilinear", align_corners=self._align_corners)
        return whole.argmax(dim=1).to(torch.uint8)
