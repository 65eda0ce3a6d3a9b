"""Real crops to compare models on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.assets import photographs
from edgehr.card import ModelCard
from edgehr.evaluation.annotations import PeopleImage
from edgehr.tasks import DetectionTask, Task
from edgehr.tasks.image.reading import image_files, read_image

MOST_IMAGES = 16


def comparison_batch(card: ModelCard, images: Path | None = None) -> NDArray[np.float32]:
    """Crops through the model's own preprocessing, (N, 3, H, W).

    Args:
        card: The model, for pose or for detection.
        images: A folder, of which the first 16 images by name are taken whole; by default several windows of the
            photographs that ship with edgehr.

    Raises:
        EdgehrError: The folder holds no readable image.
    """
    return crops_of(card, comparison_windows(images))


def comparison_windows(images: Path | None = None) -> list[PeopleImage]:
    """Those crops as boxes in their images."""
    found = []
    for number, path in enumerate(image_files(images)[:MOST_IMAGES] if images else photographs()):
        height, width = read_image(path).shape[:2]
        windows = [(0.0, 0.0, 1.0, 1.0)] if images else _WINDOWS
        boxes = np.array(windows, np.float32) * np.array([width, height, width, height], np.float32)
        found.append(PeopleImage.with_boxes(number, path, boxes))
    return found


def crops_of(card: ModelCard, images: Iterable[PeopleImage]) -> NDArray[np.float32]:
    """Every box of the images through the model's own preprocessing, (N, 3, H, W)."""
    preprocess = _cut(card) if card.task == "detection" else Task.for_card(card.with_layout("nchw")).preprocess
    return np.concatenate([preprocess(read_image(image.path), image.boxes)[0] for image in images])


def _cut(card: ModelCard) -> Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[np.float32], Any]]:
    """For a detector, every window is a picture of its own."""
    task = DetectionTask(card)

    def preprocess(pixels: NDArray[Any], boxes: NDArray[Any]) -> tuple[NDArray[np.float32], Any]:
        pictures = [pixels[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes.astype(int)]
        return np.concatenate([task.preprocess(picture)[0] for picture in pictures]), None

    return preprocess


# Whole picture, head and shoulders, left, right, middle: fractions of width and height.
_WINDOWS = [
    (0.0, 0.0, 1.0, 1.0),
    (0.2, 0.0, 0.8, 0.5),
    (0.0, 0.1, 0.6, 1.0),
    (0.4, 0.1, 1.0, 0.9),
    (0.25, 0.25, 0.75, 0.75),
]


def describe(batch: Sized, images: Path | None) -> str:
    """Say what a batch of crops, or a list of their boxes, is made of."""
    source = f"images of {images}" if images else "windows of the photographs shipped with edgehr"
    return f"{len(batch)} {source}"
