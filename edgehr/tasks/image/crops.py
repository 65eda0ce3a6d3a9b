"""Cutting windows out of an image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgehr.opencv import cv2
from edgehr.tasks.image.boxes import Windows
from edgehr.tasks.image.reading import Image
from edgehr.tasks.image.whole_pixels import cut_whole_pixels

# OpenCV 4 warps images of fewer than 2 ** 15 pixels a side. Also of the part that is reduced before.
MOST_PIXELS = 2**15 - 2


def cut_out(image: Image, windows: Windows, size: tuple[int, int], warp: str) -> Iterator[NDArray[np.uint8]]:
    """Give the crop of each window, bilinear, black where it reaches over the image.

    OpenCV warps four channels in less than half of the time of three, to the same values, so for more than one window
    the part of the image that is wanted gets a fourth first; for one that would cost what it saves.

    Args:
        image: (H, W, 3) uint8.
        windows: N windows, in pixels of the image.
        size: Width and height of a crop.
        warp: `affine`, `udp` or `hrnet_face`, see `edgehr.tasks.image.boxes`.

    Yields:
        (3, height, width) uint8 planes in the image's order of colors, overwritten by the next crop.
    """
    width, height = size
    if warp == "hrnet_face":
        for center, side in zip(windows.center.astype(np.float64), windows.size.max(axis=1).tolist(), strict=True):
            yield np.ascontiguousarray(cut_whole_pixels(image, center, side, width).transpose(2, 0, 1))
        return
    large = max(image.shape[:2]) > MOST_PIXELS
    source = image if large or len(windows.center) < 2 else _with_fourth_channel(image, windows)
    channels = source.shape[2]
    crop, planes = np.empty((height, width, channels), np.uint8), np.empty((channels, height, width), np.uint8)
    views = list(planes)
    for matrix in windows.matrices(width, height, warp):
        part, moved = _part(source, matrix, size) if large else (source, matrix)
        cv2.warpAffine(part, moved, size, dst=crop, flags=cv2.INTER_LINEAR)
        cv2.split(crop, views)
        yield planes[:3]


def _with_fourth_channel(image: Image, windows: Windows) -> Image:
    """Return the image as (H, W, 4), filled in only where a window lies, with a pixel around for the interpolation."""
    height, width = image.shape[:2]
    padded = np.empty((height, width, 4), np.uint8)
    half = windows.size / 2 + 1
    left, top = np.floor(np.clip((windows.center - half).min(axis=0), 0, (width, height))).astype(int)
    right, bottom = np.ceil(np.clip((windows.center + half).max(axis=0), 0, (width, height))).astype(int)
    if right > left and bottom > top:
        part = slice(top, bottom), slice(left, right)
        cv2.cvtColor(image[part], cv2.COLOR_BGR2BGRA, dst=padded[part])
    return padded


def _part(image: Image, matrix: NDArray[np.float64], size: tuple[int, int]) -> tuple[Image, NDArray[np.float64]]:
    """Cut the part that a crop shows out of a large image, reduced where it is still large.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3) affine map from its pixels to those of the crop, without a turn.
        size: Width and height of the crop.

    Returns:
        The part, and the map from its pixels.
    """
    scale, shift = matrix.diagonal(), matrix[:, 2]
    limits = np.array(image.shape[1::-1])
    first = np.clip(np.floor(-shift / scale).astype(int) - 1, 0, limits - 1)
    last = np.clip(np.ceil((size - shift) / scale).astype(int) + 1, first + 1, limits)
    part = image[first[1] : last[1], first[0] : last[0]]
    share = np.ones(2)
    if max(part.shape[:2]) > MOST_PIXELS:
        reduced = np.maximum((last - first) // -(-max(part.shape[:2]) // MOST_PIXELS), 1)
        share = reduced / (last - first)
        part = np.asarray(cv2.resize(part, reduced.tolist(), interpolation=cv2.INTER_AREA), np.uint8)
    # Pixel x of the part lies at (x + 0.5) / share - 0.5 of what it is reduced from.
    start = first + 0.5 / share - 0.5
    return part, np.column_stack([np.diag(scale / share), shift + scale * start])
