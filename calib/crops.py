"""Calibration sets: real crops, through the very preprocessing that the runtime uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.people import Annotations
from edgehr.files import sha256_file
from edgehr.tasks import Task
from edgehr.tasks.images import image_files, read_image

MOST_CROPS = 200
# Below this the range of an activation is that of a few pictures.
FEWEST_CROPS = 16

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """A part of an image.

    Attributes:
        image: The file.
        box: xyxy, image pixels; None for the whole image.
    """

    image: Path
    box: Box | None


@dataclass(frozen=True)
class CalibrationSet:
    """What the ranges of activations are taken from.

    Attributes:
        source: The folder or annotation file.
        crops: In the order of their use.
    """

    source: Path
    crops: tuple[Crop, ...]

    @classmethod
    def of(cls, source: Path, images: Path | None = None, most: int = MOST_CROPS) -> CalibrationSet:
        """Choose crops.

        Args:
            source: A folder of images, which are taken whole, or a COCO keypoint file, whose people are taken by their
                boxes, as many images as possible first.
            images: The folder of the annotated images; by default `images/` beside the file, or the file's own folder.
            most: How many crops to take.

        Raises:
            EdgehrError: There is no such set, an image of it cannot be read, or it holds too few crops.
        """
        whole = source.suffix != ".json"
        crops = [Crop(path, None) for path in image_files(source)] if whole else _people(source, images)
        if len(crops) < FEWEST_CROPS:
            raise EdgehrError(f"{source}: holds {len(crops)} crops, calibration needs at least {FEWEST_CROPS}")
        for image in {crop.image for crop in crops[:most]}:
            read_image(image)  # said now, not after the conversion
        return cls(source, tuple(crops[:most]))

    @cached_property
    def manifest(self) -> list[dict[str, Any]]:
        """Name and SHA-256 of each crop's image, and its box."""
        hashes = {crop.image: sha256_file(crop.image) for crop in self.crops}
        return [{"image": crop.image.name, "sha256": hashes[crop.image], "box": crop.box} for crop in self.crops]

    @property
    def sha256(self) -> str:
        """Of the manifest."""
        return hashlib.sha256(json.dumps(self.manifest, separators=(",", ":")).encode()).hexdigest()

    def batches(self, card: ModelCard, size: int = 1) -> Iterator[NDArray[np.float32]]:
        """The crops as inputs of a model.

        Args:
            card: The model, in the layout of the artifact.
            size: Its batch, which is filled with one crop, so that ranges do not depend on it.
        """
        task = Task.for_card(card)
        for crop in self.crops:
            pixels = read_image(crop.image)
            height, width = pixels.shape[:2]
            box = crop.box or (0.0, 0.0, float(width), float(height))
            yield np.repeat(task.preprocess(pixels, np.array([box], np.float32))[0], size, axis=0)

    def __str__(self) -> str:
        images = len({crop.image for crop in self.crops})
        return f"{len(self.crops)} crops of {images} images of {self.source.name}"


def _people(source: Path, folder: Path | None) -> list[Crop]:
    """Everybody, image after image taking turns, the largest of each image first: variety before number."""
    beside = source.parent / "images"
    folder = folder or (beside if beside.is_dir() else source.parent)
    images = Annotations.read(source).ground_truth(folder)
    turns: list[list[Crop]] = []
    for image in sorted(images, key=lambda image: image.path.name):
        areas = (image.boxes[:, 2] - image.boxes[:, 0]) * (image.boxes[:, 3] - image.boxes[:, 1])
        order = np.argsort(-areas, kind="stable")
        turns.append([Crop(image.path, tuple(float(side) for side in image.boxes[i])) for i in order])  # type: ignore[arg-type]
    return [crop for turn in zip_longest(*turns) for crop in turn if crop is not None]
