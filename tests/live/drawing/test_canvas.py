"""What inference takes can be drawn into."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import TensorError
from edgehr.live.drawing import draw_label, draw_poses
from edgehr.live.drawing.detections import draw_detections
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.image.reading import drawable
from edgehr.tasks.pose.poses import Poses
from tests.views import read_only, views

IMAGE: Any = np.random.default_rng(0).integers(0, 256, (97, 71, 3), np.uint8)
POSES = Poses(
    np.array([[5, 5, 60, 90]], np.float32),
    np.array([[[10, 10], [50, 20], [30, 80]]], np.float32),
    np.full((1, 3), 0.9, np.float32),
    np.array([7]),
)
MASK = np.zeros((1, 97, 71), np.bool_)
MASK[:, 20:60, 20:40] = True
DETECTIONS = Detections(POSES.boxes, np.array([0.7], np.float32), classes=("person",), masks=Masks.of(MASK))


def draw(image: Any) -> Any:
    draw_poses(image, POSES)
    draw_detections(image, DETECTIONS)
    draw_label(image, ["one  two"])
    return image


DRAWN = draw(IMAGE.copy())


@pytest.mark.parametrize("layout", views(IMAGE))
def test_views_are_drawn_into(layout: str) -> None:
    assert (DRAWN != IMAGE).any()
    np.testing.assert_array_equal(draw(views(IMAGE)[layout]), DRAWN)


def test_grayscale_and_alpha_are_drawn_into() -> None:
    gray, bgra = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY), cv2.cvtColor(IMAGE, cv2.COLOR_BGR2BGRA)
    bgra[..., 3] = 90
    expected = cv2.cvtColor(draw(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)), cv2.COLOR_BGR2GRAY)
    for view in (gray.copy(), gray.copy()[:, ::-1][:, ::-1, None]):
        np.testing.assert_allclose(draw(view).reshape(gray.shape).astype(int), expected, atol=1)  # rounded three times
    np.testing.assert_array_equal(draw(bgra.copy())[..., :3], DRAWN)
    assert (draw(bgra)[..., 3] == 90).all()


@pytest.mark.parametrize("drawing", [lambda image: draw_poses(image, POSES), lambda image: draw_label(image, ["a"])])
def test_what_cannot_be_drawn_into_is_said(drawing: Any) -> None:
    for image in (read_only(IMAGE), np.broadcast_to(IMAGE[0], IMAGE.shape)):
        with pytest.raises(TensorError, match=r"the image is read-only: draw into a copy, image\.copy\(\)"):
            drawing(image)
    with pytest.raises(TensorError, match="uint8"):
        drawing(IMAGE.astype(np.float32))


def test_text_that_is_no_text_ends_no_process() -> None:
    image, other = IMAGE.copy(), IMAGE.copy()
    draw_label(image, ["caf\udce9.jpg"])
    draw_label(other, ["caf?.jpg"])
    np.testing.assert_array_equal(image, other)


@pytest.mark.parametrize("layout", views(IMAGE))
def test_a_copy_is_made_where_opencv_cannot_write(layout: str) -> None:
    view = views(IMAGE)[layout]
    made = drawable(view)
    np.testing.assert_array_equal(made, IMAGE)
    assert (made is view) == (layout in ("itself", "part", "every second row", "odd address"))
    assert drawable(read_only(IMAGE)).flags.writeable
