"""Dataset: annotated images to evaluate on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.errors import EdgehrError
from edgehr.tasks.image.reading import Image, read_image


def file_in(folder: Path, name: str) -> Path:
    """Return the file that annotations name in the folder of their images.

    Raises:
        EdgehrError: The name leads out of that folder: annotations come from others, who have no say there.
    """
    path = folder / name
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        raise EdgehrError(
            f"{path}: the annotations name this image, which is not in {folder}: name the folder that holds all of "
            "their images with --images"
        )
    return path


@dataclass(frozen=True)
class ImageSample:
    """One image and the boxes in it to look at.

    Attributes:
        image_id: The annotation file's number of the image.
        path: The image file.
        boxes: (N, 4) float32 xyxy pixels; none for a task that looks at whole images.
        box_scores: (N,) float32; 1 for annotated boxes.
        areas: (N,) float32 square pixels, for OKS: the annotated areas of the people; of boxes that are no annotation,
            the boxes' own.
        size: Width and height that the annotation file gives; None where there is none.
    """

    image_id: int
    path: Path
    boxes: NDArray[np.float32]
    box_scores: NDArray[np.float32]
    areas: NDArray[np.float32]
    size: tuple[int, int] | None = None

    @classmethod
    def with_boxes(cls, image_id: int, path: Path, boxes: ArrayLike, scores: ArrayLike | None = None) -> ImageSample:
        """Make an image with boxes (N, 4) xyxy that are no annotations; their scores (N,) are 1 unless given."""
        array = np.array(boxes, np.float32).reshape(-1, 4)
        sides = array[:, 2:] - array[:, :2]
        known = np.ones(len(array)) if scores is None else scores
        return cls(image_id, path, array, np.array(known, np.float32), sides.prod(axis=1))

    def read(self) -> Image:
        """Read the image; raises EdgehrError where that fails, or its annotations are for another size."""
        return read_image(self.path, self.size)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.intp] | slice) -> ImageSample:
        """Return the image with some of its boxes."""
        return replace(self, boxes=self.boxes[chosen], box_scores=self.box_scores[chosen], areas=self.areas[chosen])


@dataclass(frozen=True)
class Dataset:
    """Images to evaluate on, and what is true of them.

    Attributes:
        images: The images.
        truth: What the evaluator's metric compares results with.
        source: What they are from, in words.
        boxes: Where the boxes are from, in words: ``ground truth``; empty for a task that takes none.
        detected: Whether the boxes are a detector's, several of which may hold the same object.
    """

    images: Sequence[ImageSample]
    truth: Any
    source: str
    boxes: str = ""
    detected: bool = False

    def __len__(self) -> int:
        """Count the boxes, or the images of a task that takes none."""
        return sum(len(image.boxes) for image in self.images) if self.boxes else len(self.images)
