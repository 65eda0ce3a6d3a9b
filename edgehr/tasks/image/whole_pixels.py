"""Face crops as HRNet-Facial-Landmark-Detection cuts them (its networks have never seen others).

The window is moved to whole pixels, its gray levels are stretched to 0-255, and it is resized by Pillow's bilinear
filter, which averages where it shrinks. An image at least twice as large as the crop is shrunk first. Results are those
of that repository with SciPy 1.2's `imresize`, up to a gray level where two roundings meet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.image.reading import Image

Floats = NDArray[np.float64]
# Window pixels per crop pixel from which the image is shrunk before it is cut.
SHRINK_FROM = 2.0


def cut_whole_pixels(image: Image, center: Floats, side: float, size: int) -> Image:
    """Cut a square window out of an image, black where it reaches over it.

    Args:
        image: (H, W, 3) uint8.
        center: (2,) x, y of the window, image pixels.
        side: Of the window, image pixels.
        size: Side of the crop, pixels.

    Returns:
        (size, size, 3) uint8.
    """
    shrink = side / size
    height, width = image.shape[:2]
    if shrink >= SHRINK_FROM:
        width, height = int(width / shrink), int(height / shrink)
        center, side = center / shrink, float(size)
    if min(width, height) < 1 or max(width, height) < 2:
        return np.zeros((size, size, 3), np.uint8)
    # The repository counts pixels from 1, which moves the window's corners by a pixel of the crop.
    corner = center - side / 2 - side / size
    left, top = (int(value) + 1 for value in corner.tolist())
    right, bottom = (max(int(value) + 1, start + 1) for value, start in zip(corner + side, (left, top), strict=True))
    x1, x2, y1, y2 = max(left, 0), min(right, width), max(top, 0), min(bottom, height)
    window = np.zeros((bottom - top, right - left, 3), np.uint8)
    if x2 > x1 and y2 > y1:
        part = image[y1:y2, x1:x2]
        if shrink >= SHRINK_FROM:
            low, high = int(image.min()), int(image.max())
            columns, left_used = _weights(image.shape[1], width, x1, x2)
            rows, top_used = _weights(image.shape[0], height, y1, y2)
            used = image[top_used : top_used + rows.shape[1], left_used : left_used + columns.shape[1]]
            part = _resample(_stretch(used, low, high), rows, columns)
        window[y1 - top : y2 - top, x1 - left : x2 - left] = part
    window = _stretch(window, int(window.min()), int(window.max()))
    (rows, _), (columns, _) = (_weights(length, size, 0, size) for length in window.shape[:2])
    return _resample(window, rows, columns)


def _stretch(image: Image, low: int, high: int) -> Image:
    """Stretch gray levels from low..high to 0..255."""
    levels = (np.arange(256) - low) * (255 / max(high - low, 1))
    table: Image = (np.clip(levels, 0, 255) + 0.5).astype(np.uint8)
    return table[image]


def _weights(length: int, count: int, first: int, last: int) -> tuple[NDArray[np.float32], int]:
    """Weigh pixels for a resize from `length` pixels to `count`, by a triangle as wide as it shrinks.

    Returns:
        (last - first, n) float32, how much n pixels count for each of those results, and the first of these pixels.
    """
    ratio = length / count
    radius = max(ratio, 1.0)
    middles = (np.arange(first, last) + 0.5) * ratio
    starts = np.maximum((middles - radius + 0.5).astype(int), 0)
    stops = np.minimum((middles + radius + 0.5).astype(int), length)
    start, pixels = int(starts.min()), np.arange(int(starts.min()), int(stops.max()))
    weights = np.clip(1 - np.abs((pixels + 0.5 - middles[:, None]) / radius), 0, None)
    weights *= (pixels >= starts[:, None]) & (pixels < stops[:, None])
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), start


def _resample(image: Image, rows: NDArray[np.float32], columns: NDArray[np.float32]) -> Image:
    """Weigh (h, w, 3) pixels along both sides, each time rounded: first along rows, as Pillow does."""
    across = np.einsum("ox,yxc->yoc", columns, image.astype(np.float32), optimize=True)
    across = np.floor(across + 0.5)
    down = np.einsum("oy,yxc->oxc", rows, across, optimize=True)
    result: Image = np.clip(np.floor(down + 0.5), 0, 255).astype(np.uint8)
    return result
