"""Changes of resolution, written so that runtimes that store channels last need no resized map.

Nearest upsampling by k gives every value to k x k pixels. An addition or a multiplication can do that itself: the sides
of the larger map are viewed as patches of k x k pixels, (N, h, k, w, k, C), and the smaller map, whose patches are
single pixels, is broadcast over them. The same pairs of numbers meet, so the result is the same. With channels last the
view copies nothing.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_patches(x: Tensor, size: int) -> Tensor:
    """View a map (N, C, H, W) as patches of size x size pixels, (N, H / size, size, W / size, size, C)."""
    channels, height, width = x.shape[1:]
    return x.permute(0, 2, 3, 1).reshape(-1, height // size, size, width // size, size, channels)


def from_patches(x: Tensor) -> Tensor:
    """Undo `to_patches`."""
    rows, size, columns, _, channels = x.shape[1:]
    return x.reshape(-1, rows * size, columns * size, channels).permute(0, 3, 1, 2)


def add_upsampled(x: Tensor, low: Tensor, *, broadcast: bool) -> Tensor:
    """Add a map of half the resolution, (N, C, H / 2, W / 2), to (N, C, H, W).

    Args:
        x: The larger map.
        low: The smaller one.
        broadcast: Broadcast it over patches in place of resizing it.
    """
    if broadcast:
        return from_patches(to_patches(x, 2) + to_patches(low, 1))
    return x + F.interpolate(low, scale_factor=2.0)


def average_pool_by_conv(x: Tensor, size: int) -> Tensor:
    """Average a map (N, C, H, W) over patches to (N, C, H / size, W / size) by a depthwise convolution."""
    channels = x.shape[1]
    return F.conv2d(x, x.new_full((channels, 1, size, size), 1 / size**2), stride=size, groups=channels)
