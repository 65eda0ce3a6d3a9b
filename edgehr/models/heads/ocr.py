"""OCR: each pixel looks at one representation of each class.

Yuan, Chen, Wang: Object-Contextual Representations for Semantic Segmentation, ECCV 2020. Module names follow mmseg's
OCRHead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgehr.models.backbones.layers import ConvModule
from edgehr.models.heads.dense import ConcatHead, concatenate

CHANNELS, KEY_CHANNELS = 512, 256


class OCRHead(nn.Module):
    """Rough logits gather the features of each class; every pixel's own features are joined by those it attends to."""

    def __init__(self, channels: list[int], num_outputs: int, align_corners: bool = False) -> None:
        super().__init__()
        self._align_corners = align_corners
        self.regions = ConcatHead(channels, num_outputs)  # mmseg's auxiliary FCN head
        self.bottleneck = nn.Sequential(
            nn.Conv2d(sum(channels), CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()
        )
        self.object_context_block = ObjectAttention()
        self.final_layer = nn.Conv2d(CHANNELS, num_outputs, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches, highest resolution (1/4) first, to logits (N, num_outputs, H / 4, W / 4)."""
        features = concatenate(branches, self._align_corners)
        pixels = self.bottleneck(features)
        weights = self.regions.classify(features).flatten(2).softmax(dim=2)  # over positions, not over classes
        context = weights @ pixels.flatten(2).transpose(1, 2)
        result: Tensor = self.final_layer(self.object_context_block(pixels, context.transpose(1, 2).unsqueeze(3)))
        return result


class ObjectAttention(nn.Module):
    """Attention of pixels to the representations of classes."""

    def __init__(self) -> None:
        super().__init__()

        def projection(inputs: int, outputs: int) -> ConvModule:
            return ConvModule(inputs, outputs, 1, activation=nn.ReLU())

        self.query_project = nn.Sequential(projection(CHANNELS, KEY_CHANNELS), projection(KEY_CHANNELS, KEY_CHANNELS))
        self.key_project = nn.Sequential(projection(CHANNELS, KEY_CHANNELS), projection(KEY_CHANNELS, KEY_CHANNELS))
        self.value_project = projection(CHANNELS, KEY_CHANNELS)
        self.out_project = projection(KEY_CHANNELS, CHANNELS)
        self.bottleneck = projection(2 * CHANNELS, CHANNELS)

    def forward(self, pixels: Tensor, context: Tensor) -> Tensor:
        """Map features of pixels (N, 512, H, W) and of classes (N, 512, K, 1) to (N, 512, H, W)."""
        query = self.query_project(pixels).flatten(2).transpose(1, 2)
        key, value = (project(context).flatten(2) for project in (self.key_project, self.value_project))
        attention = (query @ key * KEY_CHANNELS**-0.5).softmax(dim=2)
        found = (attention @ value.transpose(1, 2)).transpose(1, 2).unflatten(2, pixels.shape[2:])
        result: Tensor = self.bottleneck(torch.cat([self.out_project(found), pixels], dim=1))
        return result
