"""RoIAlign in NumPy: the features of a region, as a map of fixed size (He et al., Mask R-CNN, 2017).

Samples of a bin are a grid, and so is bilinear interpolation: a map of P x P bins is a product of three matrices,
rows (P, h) x features (h, w C) and then columns (P, w) x (w, C), without a copy of the features. Numbers of samples
follow mmcv's `RoIAlign` with `sampling_ratio=0` and `aligned=True`: the side of a bin in cells, rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FINEST_SIDE = 56  # regions of twice that go to the second level, of four times that to the third


def levels_of(boxes: Floats, levels: int) -> NDArray[np.int64]:
    """Choose the level of the pyramid for each region by its area (Lin et al., Feature Pyramid Networks, 2017).

    Args:
        boxes: (N, 4) xyxy, input pixels.
        levels: How many there are.

    Returns:
        (N,), 0 for the finest.
    """
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = np.floor(np.log2(sides / np.float32(FINEST_SIDE) + np.float32(1e-6)))
    return np.clip(level, 0, levels - 1).astype(np.int64)


def pool_regions(pyramid: Sequence[Floats], strides: Sequence[int], boxes: Floats, size: int) -> Floats:
    """Pool the features of each region from the level that suits it.

    Args:
        pyramid: (h_i, w_i, C) of one picture, the finest first.
        strides: Pixels of the input a cell of each level.
        boxes: (N, 4) xyxy, input pixels.
        size: Bins on a side.

    Returns:
        (N, size, size, C) float32.
    """
    levels = levels_of(boxes, len(pyramid))
    pooled = np.empty((len(boxes), size, size, pyramid[0].shape[2]), np.float32)
    for level, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
        index = np.flatnonzero(levels == level)
        if len(index):
            pooled[index] = roi_align(features, boxes[index], 1 / stride, size)
    return pooled


def roi_align(features: Floats, boxes: Floats, spatial_scale: float, size: int) -> Floats:
    """Pool the features of each region.

    Args:
        features: (H, W, C) of one picture.
        boxes: (N, 4) xyxy. A region without width or height gives 0, as does what lies outside the map.
        spatial_scale: Cells of the map a pixel of the boxes.
        size: Bins on a side.

    Returns:
        (N, size, size, C) float32.
    """
    height, width, channels = features.shape
    corners = boxes.astype(np.float32) * np.float32(spatial_scale) - np.float32(0.5)
    tops, down = _bin_weights(corners[:, 1], corners[:, 3], height, size)
    lefts, across = _bin_weights(corners[:, 0], corners[:, 2], width, size)
    lines = np.ascontiguousarray(features, np.float32).reshape(height, width * channels)
    pooled = np.zeros((len(boxes), size, size, channels), np.float32)
    for place, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        rows, columns = down[place], across[place]
        if rows is not None and columns is not None:
            window = lines[top : top + rows.shape[1], left * channels : (left + columns.shape[1]) * channels]
            np.matmul(columns, (rows @ window).reshape(size, -1, channels), out=pooled[place])
    return pooled


def _bin_weights(start: Floats, end: Floats, cells: int, size: int) -> tuple[NDArray[np.int64], list[Floats | None]]:
    """Weigh the cells of a row of the map for each bin of each region's side.

    Returns:
        For each region the first cell with a weight, and the weights (size, n) of n cells; None where there is none.
    """
    bin_sides = ((end - start) / np.float32(size))[:, None, None]
    counts = np.maximum(np.ceil(bin_sides), 0)
    number = np.arange(int(counts.max(initial=0)), dtype=np.float32)
    bins = np.arange(size, dtype=np.float32)[:, None]
    steps = bin_sides / np.maximum(counts, 1)
    places = start[:, None, None] + bins * bin_sides + (number + np.float32(0.5)) * steps
    counted = (number < counts) & (places >= -1) & (places <= cells)
    places = np.clip(places, 0, cells - 1)
    low = np.minimum(places.astype(np.int64), max(cells - 2, 0))
    share = np.where(counted, places - low.astype(np.float32), 0)

    seen = counted.any(axis=(1, 2))
    first = np.where(counted, low, cells).min(axis=(1, 2), initial=cells)
    length = np.where(counted, low, -1).max(axis=(1, 2), initial=-1) + 2 - first
    widest = int(length.max(initial=0)) + 1
    index = (np.arange(len(start))[:, None, None] * size + bins.astype(np.int64)) * widest + low - first[:, None, None]
    kept = counted.nonzero()
    total = len(start) * size * widest
    weights = (
        np.bincount(index[kept], 1 - share[kept], total) + np.bincount(index[kept] + 1, share[kept], total + 1)[:total]
    )
    weights = (weights.reshape(-1, size, widest) / np.maximum(counts, 1)).astype(np.float32)
    length = np.minimum(length, cells - first)
    return first, [each[:, :n] if there else None for each, n, there in zip(weights, length, seen, strict=True)]
