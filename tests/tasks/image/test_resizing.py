"""Resizing against Pillow itself, against a plain filter in loops, and against OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.tasks.image.resizing import resize_and_crop, short_side_size

SIZES = [(480, 640), (640, 427), (1080, 1920), (100, 90), (256, 300), (257, 256), (31, 700), (224, 224)]


def photograph(height: int, width: int) -> np.ndarray:
    """Part of a photograph with noise, so that every pixel counts."""
    image = cv2.imread(str(next(path for path in photographs() if path.stem == "astronaut")))
    noise = np.random.default_rng(height * width).integers(-30, 31, (height, width, 3))
    stretched = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(stretched.astype(int) + noise, 0, 255).astype(np.uint8)


def center(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """torchvision's and mmcv's center crop."""
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return image[top : top + height, left : left + width]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_is_what_pillow_makes(height: int, width: int, interpolation: str) -> None:
    """What timm, torchvision on PIL images, and mmpretrain's backend `pillow` do."""
    pillow = pytest.importorskip("PIL.Image")
    image = photograph(height, width)
    method = {"bilinear": pillow.Resampling.BILINEAR, "bicubic": pillow.Resampling.BICUBIC}[interpolation]
    short = 256
    size = (int(short * width / height), short) if height <= width else (short, int(short * height / width))
    expected = center(np.asarray(pillow.fromarray(image).resize(size, method)), 224, 224)
    found = resize_and_crop(image, short, (224, 224), interpolation, antialias=True)
    assert found.shape == (224, 224, 3)
    assert found.dtype == np.uint8
    assert found.flags["C_CONTIGUOUS"]
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01  # sums that end on a half: Pillow's weights are whole numbers


def plain_line(line: list[float], target: int, interpolation: str) -> list[int]:
    """One line resized by the definition of the filters, pixel by pixel."""
    scale = len(line) / target
    stretch = max(scale, 1.0)

    def weight(distance: float) -> float:
        x = abs(distance)
        if interpolation == "bilinear":
            return max(1 - x, 0.0)
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    found = []
    for place in range(target):
        middle = (place + 0.5) * scale
        weights = [weight((pixel + 0.5 - middle) / stretch) for pixel in range(len(line))]
        value = sum(w * v for w, v in zip(weights, line, strict=True)) / sum(weights)
        found.append(min(max(math.floor(value + 0.5), 0), 255))
    return found


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "short"), [(40, 60, 16), (33, 20, 32), (24, 24, 24)])
def test_is_the_filter_s_definition(height: int, width: int, short: int, interpolation: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    rows, columns = short_side_size(height, width, short)
    across = np.array(
        [[plain_line(list(row[:, color]), columns, interpolation) for color in range(3)] for row in image.astype(float)]
    )
    down = np.array(
        [
            [plain_line(list(across[:, color, column].astype(float)), rows, interpolation) for color in range(3)]
            for column in range(columns)
        ]
    ).transpose(2, 0, 1)
    found = resize_and_crop(image, short, (16, 12), interpolation, antialias=True)
    assert np.abs(found.astype(int) - center(down, 16, 12)).max() <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_without_a_filter_it_is_opencv_s(interpolation: str) -> None:
    """What mmpretrain's backend `cv2` does: aliased where pictures are shrunk much."""
    image = photograph(600, 901)
    method = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[interpolation]
    expected = center(cv2.resize(image, (384, 256), interpolation=method), 224, 224)
    found = resize_and_crop(image, 256, (224, 224), interpolation, antialias=False)
    assert (found == expected).all()
    filtered = resize_and_crop(image, 256, (224, 224), interpolation, antialias=True)
    assert np.abs(found.astype(int) - filtered).mean() > 3


def test_the_longer_side_is_cut_off_and_a_half_goes_to_the_even_pixel() -> None:
    assert short_side_size(480, 641, 256) == (256, 341)
    assert short_side_size(641, 480, 256) == (341, 256)
    assert short_side_size(256, 256, 256) == (256, 256)
    ramp = np.repeat(np.arange(229, dtype=np.uint8)[None, :, None], 224, axis=0).repeat(3, axis=2)
    assert resize_and_crop(ramp, 224, (224, 224), "bilinear", antialias=True)[0, 0, 0] == 2  # of 2.5
    image = np.full((1, 5000, 3), 200, np.uint8)
    assert (resize_and_crop(image, 32, (32, 32), "bicubic", antialias=True) == 200).all()
