"""Boxes, masks and names over images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import edgehr
from edgehr.errors import TensorError
from edgehr.live.drawing.detections import COLORS
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks

IMAGE: np.ndarray = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
BOXES = np.array([[100, 60, 200, 160], [10, 80, 60, 200]], np.float32)
MASK = np.zeros((2, 240, 320), np.bool_)
MASK[0, 70:150, 110:190] = True  # the second has none
FOUND = Detections(BOXES, np.array([0.9, 0.4], np.float32), np.array([1, 0]), classes=("cat", "dog"))
MASKED = replace(FOUND, masks=Masks.of(MASK))


def drawn(found: Detections, image: np.ndarray = IMAGE) -> np.ndarray:
    copy = image.copy()
    edgehr.draw_detections(copy, found)
    return copy


def test_masks_are_translucent_and_inside_their_outlines() -> None:
    plain, masked = drawn(replace(FOUND, masks=Masks.of(np.zeros_like(MASK)))), drawn(MASKED)
    inner = slice(74, 146), slice(114, 186)
    expected = 0.55 * IMAGE[inner] + 0.45 * np.array(COLORS[0])
    assert np.abs(masked[inner] - expected).max() <= 1
    assert (plain[inner] == IMAGE[inner]).all()
    around = np.ones(IMAGE.shape[:2], bool)
    around[68:152, 108:192] = False  # the outline is a line wide
    assert (plain[around] == masked[around]).all()
    assert np.abs(masked[inner[0], 110].astype(int) - COLORS[0]).mean() < 10  # its edge is smooth
    assert np.abs(plain[60, 150].astype(int) - COLORS[0]).max() < 40


def test_names_stay_inside_the_image_and_scores_stand_alone_without_names() -> None:
    corner = Detections(np.array([[300, 2, 318, 40]], np.float32), np.ones(1, np.float32), classes=("traffic light",))
    strip = (drawn(corner)[:8] == COLORS[0]).all(axis=2).any(axis=0)
    assert strip[200:].sum() > 60
    nameless = (drawn(replace(corner, classes=()))[:8] == COLORS[0]).all(axis=2).any(axis=0)
    assert 10 < nameless.sum() < strip.sum()


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3)])
def test_any_picture_and_any_number_of_objects(size: tuple[int, int]) -> None:
    height, width = size
    boxes = np.tile(np.array([[0, 0, width, height]], np.float32), (1000, 1))
    masks = Masks.of(np.ones((1000, height, width), np.bool_))
    many = Detections(boxes, np.ones(1000, np.float32), np.arange(1000) % 80, classes=("x" * 40,) * 80, masks=masks)
    assert drawn(many, np.zeros((height, width, 3), np.uint8)).any()
    assert not drawn(many[:0], np.zeros((height, width, 3), np.uint8)).any()


def test_masks_of_another_picture_are_refused() -> None:
    with pytest.raises(TensorError, match="the masks are of an image of 320x240 pixels, not of 240x320"):
        drawn(MASKED, np.zeros((320, 240, 3), np.uint8))
