"""Cutting windows out of an image."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.image.boxes import Windows
from edgehr.tasks.image.reading import Image


def cut_out(image: Image, windows: Windows, size: tuple[int, int], warp: str) -> Iterator[NDArray[np.uint8]]:
    """Give the crop of each window, bilinear, black where it reaches over the image.

    OpenCV warps four channels in less than half of the time of three, to the same values, so for more than one window
    the part of the image that is wanted gets a fourth first; for one that would cost what it saves.

    Args:
        image: (H, W, 3) uint8.
        windows: N windows, in pixels of the image.
        size: Width and height of a crop.
        warp: `affine` or `udp`, see `edgehr.tasks.image.boxes`.

    Yields:
        (3, height, width) uint8 planes in the image's order of colors, overwritten by the next crop.
    """
    width, height = size
    source = image if len(windows.center) < 2 else _with_fourth_channel(image, windows)
    channels = source.shape[2]
    crop, planes = np.empty((height, width, channels), np.uint8), np.empty((channels, height, width), np.uint8)
    views = list(planes)
    for matrix in windows.matrices(width, height, warp):
        cv2.warpAffine(source, matrix, size, dst=crop, flags=cv2.INTER_LINEAR)
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
