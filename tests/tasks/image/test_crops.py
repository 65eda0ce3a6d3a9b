"""Crops out of images that are larger than OpenCV 4 warps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.tasks.image import crops
from edgehr.tasks.image.boxes import Windows
from edgehr.tasks.image.crops import cut_out

SIZE = (192, 256)
# In the image, over its edges, and beside it.
BOXES = np.array([[300, 40, 500, 240], [-50, 200, 120, 500], [1100, -40, 1300, 100], [2000, 40, 2100, 90]], np.float32)


def planes(image: Any, boxes: Any, warp: str) -> Any:
    windows = Windows.from_boxes(np.asarray(boxes, np.float32), SIZE[0] / SIZE[1])
    return np.array([crop.copy() for crop in cut_out(image, windows, SIZE, warp)])


@pytest.mark.parametrize("warp", ["affine", "udp"])
def test_a_part_gives_the_crop_that_the_whole_image_gives(warp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (30, 120, 3), np.uint8), (1200, 300))
    expected = planes(image, BOXES, warp)
    monkeypatch.setattr(crops, "MOST_PIXELS", 1000)
    found = planes(image, BOXES, warp)
    assert np.abs(found.astype(int) - expected).max() <= 2  # OpenCV's weights have 5 bits
    assert not found[3].any()


@pytest.mark.parametrize("warp", ["affine", "udp"])
def test_a_part_that_is_still_large_is_reduced_in_place(warp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 24, 3), np.uint8), (1201, 301))
    box = [[0, 0, 1201, 301]]
    expected = planes(image, box, warp)
    monkeypatch.setattr(crops, "MOST_PIXELS", 700)
    difference = np.abs(planes(image, box, warp).astype(int) - expected)
    assert difference.mean() < 0.5
    assert np.quantile(difference, 0.99) <= 8


@pytest.mark.parametrize("turned", [False, True])
def test_an_image_beyond_the_limit(turned: bool) -> None:
    small = cv2.resize(np.random.default_rng(0).integers(0, 256, (8, 100, 3), np.uint8), (1000, 64))
    image, boxes = np.zeros((64, 40000, 3), np.uint8), np.array([[10, 4, 60, 60], [930, 8, 990, 60]], np.float32)
    image[:, 39000:] = small
    moved = boxes + np.array([39000, 0, 39000, 0], np.float32)
    if turned:
        image, small = (np.ascontiguousarray(each.transpose(1, 0, 2)) for each in (image, small))
        boxes, moved = boxes[:, [1, 0, 3, 2]], moved[:, [1, 0, 3, 2]]
    found, expected = planes(image, moved, "affine"), planes(small, boxes, "affine")
    assert np.abs(found.astype(int) - expected).max() <= 2
    assert planes(image, [[0, 0, *image.shape[1::-1]]], "affine").shape == (1, 3, 256, 192)
