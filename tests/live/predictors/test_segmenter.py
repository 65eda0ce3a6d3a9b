"""The segmenter, on models that tests make themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import edgehr
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.detection.detections import Detections
from tests.tasks.segmentation.models import FunctionRuntime, pooled, small_card


def bright(batch: NDArray[Any]) -> NDArray[np.float32]:
    """Logits of background and person: a person is what is bright."""
    light = pooled(batch).mean(axis=1, keepdims=True)
    return np.concatenate([2.5 - light, light - 2.5], axis=1)


def small_segmenter(**options: Any) -> edgehr.Segmenter:
    return edgehr.Segmenter(FunctionRuntime(small_card(2, fit="stretch"), bright), **options)


def spots() -> NDArray[np.uint8]:
    """Two bright rectangles on black."""
    image = np.zeros((200, 300, 3), np.uint8)
    image[40:160, 20:80] = 255
    image[100:120, 200:212] = 255
    return image


def test_tells_the_class_of_each_pixel() -> None:
    with small_segmenter() as segmenter:
        found = segmenter(spots())
        assert segmenter.classes == ("background", "person")
    assert found.class_map.shape == (200, 300)
    assert found.mask("person")[60:140, 30:70].all()
    assert not found.mask("person")[:, 90:190].any()
    assert found.probability("person")[100, 50] > 0.9


@pytest.mark.parametrize("output", ["logits", "labels"])
def test_looks_at_people_one_by_one_where_there_is_a_detector(output: str) -> None:
    def detector(image: NDArray[Any]) -> Detections:
        boxes = np.array([[20, 40, 80, 160], [200, 100, 212, 120], [0, 0, 1, 1]], np.float32)
        return Detections(boxes, np.ones(3, np.float32))

    def labels(batch: NDArray[Any]) -> NDArray[Any]:
        return (batch.mean(axis=1) > 100).astype(np.uint8)

    card = small_card(2, output=output, fit="stretch")
    runtime = FunctionRuntime(card, *((bright,) if output == "logits" else (labels, np.uint8)))
    found = edgehr.Segmenter(runtime, detector=detector)(spots())
    truth = spots()[..., 0] > 0
    wrong = found.mask("person") != truth
    assert wrong[80:140, 190:222].mean() < 0.1  # the small one as well as the large one
    assert wrong.mean() < 0.02
    if output == "logits":
        assert found.probability("person")[110, 206] > 0.5 > found.probability("person")[10, 150] == 0
        assert found.probability("background")[10, 150] == 1
    else:
        assert found.maps is None


def test_nobody_detected_is_background() -> None:
    found = small_segmenter(detector=lambda image: Detections.none())(spots())
    assert len(found) == 0
    assert found.class_map.shape == (200, 300)


def test_is_what_the_predictor_of_such_a_model_is(tmp_path: Path) -> None:
    runtime = FunctionRuntime(small_card(2, fit="stretch"), bright)
    opened = edgehr.predictor(runtime, fit="letterbox")
    assert isinstance(opened, edgehr.Segmenter)
    assert opened.task.spec.fit == "letterbox"
    path = tmp_path / "spots.png"
    cv2.imwrite(str(path), spots())
    ((frame, result),) = list(opened.results(str(path)))
    assert (result.class_map == opened(spots()).class_map).all()
    before = frame.image.copy()
    opened.draw(frame.image, result)
    assert (frame.image != before).any()
    blurring = edgehr.predictor(runtime, blur=True)
    blurred = before.copy()
    blurring.draw(blurred, result)
    assert (blurred != frame.image).any()


def test_refuses_what_cannot_be() -> None:
    three = FunctionRuntime(small_card(3), pooled)
    with pytest.raises(EdgehrError, match="knows 3 classes: a detector goes with models that tell people"):
        edgehr.Segmenter(three, detector=lambda image: Detections.none())
    with pytest.raises(EdgehrError, match="fit must be one of slide, letterbox, stretch, got 'crop'"):
        edgehr.Segmenter(three, fit="crop")
    with pytest.raises(TensorError, match="an image must be"):
        small_segmenter()(np.zeros((3, 3), np.float32))
    with pytest.raises(EdgehrError, match="Segmenter has no option detect_every"):
        edgehr.predictor(three, detect_every=3)
