"""What HRNet-Facial-Landmark-Detection does before and behind its network, written out plainly, with Pillow."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image


def to_crop(center: np.ndarray, scale: float, size: int) -> np.ndarray:
    side = 200 * scale
    matrix = np.eye(3)
    matrix[0, 0] = matrix[1, 1] = size / side
    matrix[:2, 2] = size * (0.5 - np.asarray(center, float) / side)
    return matrix


def place_in_image(point: tuple[float, float], center: np.ndarray, scale: float, size: int) -> list[int]:
    """Both count from 1, and the result is cut off to whole numbers."""
    inverse = np.linalg.inv(to_crop(center, scale, size))
    x, y, _ = inverse @ [point[0] - 1, point[1] - 1, 1]
    return [int(x) + 1, int(y) + 1]


def imresize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """SciPy's, for a float image: gray levels are stretched, and Pillow resizes."""
    low, high = image.min(), image.max()
    stretched = (image - low) * (255 / ((high - low) or 1))
    picture = Image.fromarray((stretched.clip(0, 255) + 0.5).astype(np.uint8))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def official_crop(image: np.ndarray, center: np.ndarray, scale: float, size: int) -> np.ndarray:
    image = image.astype(np.float32)
    shrink = scale * 200 / size
    if shrink >= 2:
        height, width = (math.floor(side / shrink) for side in image.shape[:2])
        image = imresize(image, height, width).astype(np.float32)
        center, scale = center / shrink, scale / shrink
    left, top = place_in_image((0, 0), center, scale, size)
    right, bottom = place_in_image((size, size), center, scale, size)
    window = np.zeros((bottom - top, right - left, 3), np.float32)
    for y in range(max(top, 0), min(bottom, len(image))):
        for x in range(max(left, 0), min(right, image.shape[1])):
            window[y - top, x - left] = image[y, x]
    return imresize(window, size, size)


def official_decode(heatmaps: np.ndarray, center: np.ndarray, scale: float) -> np.ndarray:
    found = []
    for heatmap in heatmaps:
        size = len(heatmap)
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        x, y = float(column + 1), float(row + 1)
        if 1 < x < size and 1 < y < size:
            x += 0.25 * np.sign(heatmap[row, column + 1] - heatmap[row, column - 1])
            y += 0.25 * np.sign(heatmap[row + 1, column] - heatmap[row - 1, column])
        found.append(place_in_image((x + 0.5, y + 0.5), center, scale, size))
    return np.array(found, float)
