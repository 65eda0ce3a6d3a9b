"""Sources of crops to select from: a folder, a COCO keypoint file, a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.dataset.finder import Finder
from edgehr.calib.dataset.frames import count_frames, read_frames
from edgehr.calib.dataset.selection import Floats, describe_crops
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import annotated_people
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.overlap import fingerprint
from edgehr.live.sources import VIDEO_SUFFIXES
from edgehr.tasks.base import Task
from edgehr.tasks.image.boxes import areas
from edgehr.tasks.image.reading import Image, image_files, image_files_within, read_image, read_images, read_reduced

# Of larger sets so many crops, spread over the set, are compared: looking at each costs a millisecond or two.
POOL = 1200
# Images or frames in which people are searched for, for each crop that is wanted.
SEARCHED_PER_CROP = 2
GOLDEN = (5**0.5 - 1) / 2

Box = tuple[float, float, float, float]
Progress = Callable[[int, "int | None"], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Crop:
    """A part of an image, or of a frame of a video.

    Attributes:
        image: The file.
        box: xyxy, image pixels; None for the whole image.
        frame: Number of the video's frame, from 0; None for an image.
        size: Width and height of the image by its annotations; None where it has none.
    """

    image: Path
    box: Box | None
    frame: int | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Candidates:
    """Crops to select from.

    Attributes:
        crops: N of them.
        descriptors: (N, D) how they look, see `edgehr.calib.dataset.selection`.
        ranks: (N,) 0 for the largest crop of its image, 1 for the next, and so on. Large people move activations most:
            see docs/calibration.md.
        fingerprints: Fingerprint of the image, for each.
        found_by: Where the boxes are from.
        searched: Number of images or frames looked at.
    """

    crops: list[Crop]
    descriptors: Floats
    ranks: NDArray[np.int64]
    fingerprints: list[str]
    found_by: str
    searched: int


@dataclass(frozen=True)
class _View:
    """An image that was read, the factor by which it was reduced, and its crops."""

    image: Image
    scale: float
    crops: list[Crop]


def collect_candidates(
    source: Path,
    images: Path | None,
    max_crops: int,
    finder: Finder | None,
    progress: Progress | None,
    card: ModelCard | None = None,
) -> Candidates:
    """Collect crops from a source.

    Args:
        source: As for `CalibrationSet.of`.
        images: The images of an annotation file.
        max_crops: How many are to be selected of them.
        finder: Finds people where there are no annotations.
        progress: Called with the images done and how many there are.
        card: The model, whose task says which boxes of an annotation file count.

    Raises:
        EdgehrError: There is no such source, it cannot be read, or the finder does not fit it.
    """
    kind = kind_of(source)
    if kind == "annotations":
        if finder:
            raise EdgehrError(f"{source}: its people have boxes: a detector goes with a folder of images or a video")
        people = _annotated(source, images, max(POOL, 2 * max_crops), card)
        return _collect(_read_crops(people), len(people), "annotations", progress)
    if kind == "folder" and not finder:
        files = sample_evenly(_images(source), max(POOL, 2 * max_crops))
        pictures = (_View(*read, [Crop(path, None)]) for path, read in read_images(files, read_reduced))
        return _collect(pictures, len(files), "whole images", progress)
    if not finder:
        raise EdgehrError(f"{source}: finding the people of a video needs a detector, or the pose model in float")
    if kind == "folder":
        files = sample_evenly(_images(source), SEARCHED_PER_CROP * max_crops)
        views = (_View(image, 1.0, _crops(path, finder.find(image))) for path, image in read_images(files, read_image))
        return _collect(views, len(files), finder.by, progress)
    numbers = sample_evenly(range(count_frames(source)), SEARCHED_PER_CROP * max_crops)
    frames = read_frames(source, numbers)
    views = (_View(image, 1.0, _crops(source, finder.find(image), number)) for number, image in frames)
    return _collect(views, len(numbers), finder.by, progress)


def kind_of(source: Path) -> Literal["annotations", "folder", "video"]:
    """Tell what a path is; raise EdgehrError where it is nothing to calibrate on."""
    if source.is_dir():
        return "folder"
    suffix = source.suffix.lower()
    if suffix == ".json":
        return "annotations"
    wanted = f"a folder of images, a COCO keypoint file (.json) or a video ({', '.join(VIDEO_SUFFIXES)})"
    if not source.exists():
        raise EdgehrError(f"{source}: not there; calibration takes {wanted}")
    if suffix not in VIDEO_SUFFIXES:
        raise EdgehrError(f"{source}: calibration takes {wanted}")
    return "video"


def _images(folder: Path) -> list[Path]:
    """List the images of a folder, or else of its subfolders, as data sets have one for each class or city."""
    try:
        return image_files(folder)
    except EdgehrError as error:
        if annotations := next(iter(sorted(folder.glob("*.json"))), None):
            raise EdgehrError(f"{error}; give {annotations} if that is its COCO keypoint file") from None
        if any(path.is_dir() for path in folder.iterdir()):
            return image_files_within(folder)
        raise


def sample_evenly(items: Sequence[T], count: int) -> Sequence[T]:
    """Take at most so many of the items: one of each of as many equal parts.

    Its position in the part differs from part to part (a golden-ratio sequence), or of items that repeat themselves, as
    pictures of several cameras in turn, always the same ones could be hit.
    """
    if len(items) <= count:
        return items
    return [items[int((part + part * GOLDEN % 1) * len(items) / count)] for part in range(count)]


def _annotated(source: Path, folder: Path | None, max_people: int, card: ModelCard | None) -> list[list[Crop]]:
    """List people, or faces, by image; of too many, the largest of each image first, then the second ones."""
    judged = card is not None and Task.for_card(card).evaluator
    images = Evaluator.for_card(card).annotated(source, folder) if card and judged else annotated_people(source, folder)
    people: list[list[Crop]] = []
    for image in sorted(images, key=lambda image: image.path.name):
        people.append(_crops(image.path, image.boxes, size=image.size))
    taken: set[Crop] = set()
    for rank in zip_longest(*people):
        taken.update(sample_evenly([crop for crop in rank if crop is not None], max_people - len(taken)))
    return [crops for of_image in people if (crops := [crop for crop in of_image if crop in taken])]


def _read_crops(crops_by_image: Sequence[list[Crop]]) -> Iterator[_View]:
    for crops in crops_by_image:
        image, scale = read_reduced(crops[0].image, crops[0].size)
        yield _View(image, scale, crops)


def _crops(path: Path, boxes: Floats, frame: int | None = None, size: tuple[int, int] | None = None) -> list[Crop]:
    """Return the crops of an image, the largest first."""
    order = np.argsort(-areas(boxes), kind="stable")
    return [Crop(path, (float(x1), float(y1), float(x2), float(y2)), frame, size) for x1, y1, x2, y2 in boxes[order]]


def _collect(views: Iterator[_View], count: int, found_by: str, progress: Progress | None) -> Candidates:
    crops: list[Crop] = []
    rows: list[Floats] = []
    ranks: list[int] = []
    fingerprints: list[str] = []
    number = 0
    for number, view in enumerate(views, 1):
        if view.crops:
            boxes = np.array([crop_box(crop, view.image, view.scale) for crop in view.crops], np.float32)
            rows.append(describe_crops(view.image, boxes, view.scale))
            crops += view.crops
            ranks += range(len(view.crops))
            fingerprints += [fingerprint(view.image)] * len(view.crops)
        if progress:
            progress(number, count)
    table = np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
    return Candidates(crops, table, np.array(ranks, np.int64), fingerprints, found_by, number)


def crop_box(crop: Crop, image: Image, scale: float = 1.0) -> Box:
    """Return the box of a crop, or that of the whole image where it has none.

    Args:
        crop: The crop.
        image: Its image, which may have been reduced.
        scale: Factor by which that was reduced.
    """
    height, width = image.shape[:2]
    return crop.box or (0.0, 0.0, width / scale, height / scale)
