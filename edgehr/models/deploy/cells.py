"""Nearest upsampling inside multiplications and additions: each value meets all places of its cell by broadcasting.

Maps are viewed channels last with their sides cut into cells, (N, h, scale, w, scale, C). Runtimes that store channels
last copy nothing for it, and need no resized map.
"""

from __future__ import annotations

from torch import Tensor


def cells_of(x: Tensor, scale: int) -> Tensor:
    """(N, C, H, W) -> (N, H / scale, scale, W / scale, scale, C)."""
    channels, height, width = x.shape[1:]
    return x.permute(0, 2, 3, 1).reshape(-1, height // scale, scale, width // scale, scale, channels)


def from_cells(x: Tensor) -> Tensor:
    """Undo `cells_of`."""
    rows, scale, columns, _, channels = x.shape[1:]
    return x.reshape(-1, rows * scale, columns * scale, channels).permute(0, 3, 1, 2)
