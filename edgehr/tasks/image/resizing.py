"""Resizing as image libraries do it, to the crop in the middle that a network takes.

Pillow, and with it torchvision and timm, filters before it shrinks: each pixel of the result is a weighted mean of all
source pixels that it covers, columns first, rounded, then rows. OpenCV's `resize` looks at the nearest pixels only. A
network gets other inputs by the one than by the other, so both are here. Pillow's is two products with banded matrices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image

_OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
_REACH = {"bilinear": 1.0, "bicubic": 2.0}  # of the filters, in pixels of the smaller side of the scale
_BICUBIC = -0.5  # the free parameter of the cubic filter: Pillow's; OpenCV has -0.75
_BAND = 8  # results that share one product: larger wastes work on zeros, smaller makes more calls
# Multiplications of one product: BLAS starts threads for more, which take a hundred times as long where cores are busy.
_PRODUCT = 600_000

Weights = NDArray[np.float32]


class Band(NamedTuple):
    """Pixels of the result that are computed together: `weights` (n, stop - start) times the source's start:stop."""

    start: int
    stop: int
    weights: Weights


def resize_and_crop(
    image: Image, short_side: int, size: tuple[int, int], interpolation: str, *, antialias: bool
) -> Image:
    """Resize an image by its shorter side and cut the middle out.

    Args:
        image: (H, W, 3) uint8, of any size.
        short_side: Pixels that the shorter side becomes; the longer one keeps the proportions, rounded down.
        size: Height and width to cut out, neither larger than `short_side`.
        interpolation: ``bilinear`` or ``bicubic``.
        antialias: Filter before shrinking, as Pillow does; otherwise as OpenCV's `resize` does.

    Returns:
        (height, width, 3) uint8.
    """
    rows, columns = image.shape[:2]
    resized = short_side_size(rows, columns, short_side)
    height, width = size
    # As torchvision and mmcv have it; Python rounds a half to the even number.
    top, left = (round((full - part) / 2) for full, part in zip(resized, size, strict=True))
    if not antialias:
        whole = cv2.resize(image, resized[::-1], interpolation=_OPENCV[interpolation])
        return np.ascontiguousarray(whole[top : top + height, left : left + width])
    across = bands(columns, resized[1], left, width, interpolation)
    down = bands(rows, resized[0], top, height, interpolation)
    low, high = down[0].start, down[-1].stop
    first, last = across[0].start, across[-1].stop
    part = cv2.transpose(image[low:high, first:last])
    narrow = cv2.transpose(_apply(part, across, first))
    return _apply(narrow, down, low)


def short_side_size(rows: int, columns: int, short_side: int) -> tuple[int, int]:
    """Give the height and width of a picture whose shorter side becomes so many pixels."""
    if rows <= columns:
        return short_side, int(short_side * columns / rows)
    return int(short_side * rows / columns), short_side


@lru_cache(maxsize=32)
def bands(source: int, target: int, start: int, count: int, interpolation: str) -> tuple[Band, ...]:
    """Compute how pixels of a line are weighted to resize it.

    Args:
        source: Pixels of the line.
        target: Pixels that it becomes.
        start: First of these that is wanted.
        count: How many are wanted.
        interpolation: ``bilinear`` or ``bicubic``.

    Returns:
        The wanted ones in bands, in their order.
    """
    scale = source / target
    stretch = max(scale, 1.0)
    reach = _REACH[interpolation] * stretch
    centers = (np.arange(start, start + count) + 0.5) * scale
    begins = np.maximum(np.trunc(centers - reach + 0.5), 0).astype(int)
    ends = np.minimum(np.trunc(centers + reach + 0.5), source).astype(int)
    found = []
    for place in range(0, count, _BAND):
        part = slice(place, place + _BAND)
        low, high = int(begins[part][0]), int(ends[part][-1])
        pixels = np.arange(low, high)
        weights = _filter((pixels - centers[part, None] + 0.5) / stretch, interpolation)
        weights *= (pixels >= begins[part, None]) & (pixels < ends[part, None])
        weights /= weights.sum(axis=1, keepdims=True)
        found.append(Band(low, high, weights.astype(np.float32)))
    return tuple(found)


def _filter(distance: NDArray[np.float64], interpolation: str) -> NDArray[np.float64]:
    x = np.abs(distance)
    if interpolation == "bilinear":
        triangle: NDArray[np.float64] = np.maximum(1 - x, 0)
        return triangle
    near = ((_BICUBIC + 2) * x - (_BICUBIC + 3)) * x * x + 1
    far = _BICUBIC * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _apply(lines: Image, weighting: tuple[Band, ...], offset: int) -> Image:
    """Weight the first axis of (n, m, 3) pixels, of which line 0 is the source's line `offset`; rounds a half up."""
    flat = lines.reshape(len(lines), -1)
    result = np.empty((sum(len(band.weights) for band in weighting), flat.shape[1]), np.uint8)
    done = 0
    for band in weighting:
        count, step = len(band.weights), max(_PRODUCT // band.weights.size, 1)
        source = flat[band.start - offset : band.stop - offset]
        for left in range(0, flat.shape[1], step):
            values = band.weights @ source[:, left : left + step].astype(np.float32)
            values += 0.5
            np.clip(values, 0, 255, out=values)
            result[done : done + count, left : left + step] = values
        done += count
    return result.reshape(len(result), *lines.shape[1:])
