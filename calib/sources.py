"""Where crops to choose from come from: a folder, a COCO keypoint file, a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.choice import Floats, describe
from edgehr.calib.frames import count_frames, read_frames
from edgehr.calib.people import Finder
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.overlap import fingerprint
from edgehr.live.sources import VIDEO_SUFFIXES
from edgehr.tasks.image.boxes import areas
from edgehr.tasks.image.reading import Image, image_files, read_image, read_reduced

# Of larger sets so many crops, spread over the set, are compared: looking at each costs a millisecond or two.
POOL = 1200
# Images or frames in which people are searched for, for each crop that is wanted.
SEARCHED = 2
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
    """

    image: Path
    box: Box | None
    frame: int | None = None


@dataclass(frozen=True)
class Candidates:
    """Crops to choose from.

    Attributes:
        crops: N of them.
        descriptors: (N, D) what they look like, see `edgehr.calib.choice`.
        turns: (N,) 0 for the largest crop of its image, 1 for the next, and so on. Large people move activations most:
            see docs/calibration.md.
        prints: Fingerprint of the image, for each.
        found_by: What the boxes are from.
        searched: Images or frames looked at.
    """

    crops: list[Crop]
    descriptors: Floats
    turns: NDArray[np.int64]
    prints: list[str]
    found_by: str
    searched: int


@dataclass(frozen=True)
class _View:
    """An image that was read, what it was reduced by, and the crops of it."""

    image: Image
    scale: float
    crops: list[Crop]


def candidates(
    source: Path, images: Path | None, most: int, finder: Finder | None, progress: Progress | None
) -> Candidates:
    """Collect crops from a source.

    Args:
        source: As for `CalibrationSet.of`.
        images: The images of an annotation file.
        most: How many are to be chosen of them.
        finder: Finds people where nobody annotated them.
        progress: Called with the images done and how many there are.

    Raises:
        EdgehrError: There is no such source, it cannot be read, or the finder does not fit it.
    """
    kind = kind_of(source)
    if kind == "annotations":
        if finder:
            raise EdgehrError(f"{source}: its people have boxes: a detector goes with a folder of images or a video")
        people = _annotated(source, images, max(POOL, 2 * most))
        return _collect(_cut_out(people), len(people), "annotations", progress)
    if kind == "folder" and not finder:
        files = spread(_images(source), max(POOL, 2 * most))
        return _collect(_whole(files), len(files), "whole images", progress)
    if not finder:
        raise EdgehrError(f"{source}: finding the people of a video needs a detector, or the pose model in float")
    if kind == "folder":
        files = spread(_images(source), SEARCHED * most)
        return _collect(_search(files, finder), len(files), finder.by, progress)
    numbers = spread(range(count_frames(source)), SEARCHED * most)
    return _collect(_search_video(source, numbers, finder), len(numbers), finder.by, progress)


def kind_of(source: Path) -> Literal["annotations", "folder", "video"]:
    """What a path is; raises EdgehrError where it is nothing to calibrate on."""
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
    """The images of a folder; of a data set, whose images are in a folder of their own, it says what to give."""
    try:
        return image_files(folder)
    except EdgehrError as error:
        annotations = next(iter(sorted(folder.glob("*.json"))), None)
        if not annotations:
            raise
        raise EdgehrError(f"{error}; give {annotations} if that is its COCO keypoint file") from None


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of the items: one of each of as many equal parts.

    Its place in the part differs from part to part (a golden-ratio sequence), or of items that repeat themselves, as
    pictures of several cameras in turn, always the same ones could be hit.
    """
    if len(items) <= most:
        return items
    return [items[int((part + part * GOLDEN % 1) * len(items) / most)] for part in range(most)]


def _annotated(source: Path, folder: Path | None, most: int) -> list[list[Crop]]:
    """People by image; where there are too many, the largest of each image first, then the second ones, and so on."""
    annotations = Annotations.read(source)
    images = annotations.ground_truth(folder or annotations.images_beside)
    people: list[list[Crop]] = []
    for image in sorted(images, key=lambda image: image.path.name):
        people.append(_crops(image.path, image.boxes))
    kept: set[Crop] = set()
    for turn in zip_longest(*people):
        kept.update(spread([crop for crop in turn if crop is not None], most - len(kept)))
    return [crops for of_image in people if (crops := [crop for crop in of_image if crop in kept])]


def _cut_out(people: list[list[Crop]]) -> Iterator[_View]:
    for crops in people:
        image, scale = read_reduced(crops[0].image)
        yield _View(image, scale, crops)


def _whole(files: Sequence[Path]) -> Iterator[_View]:
    for path in files:
        image, scale = read_reduced(path)
        yield _View(image, scale, [Crop(path, None)])


def _search(files: Sequence[Path], finder: Finder) -> Iterator[_View]:
    for path in files:
        image = read_image(path)
        yield _View(image, 1.0, _crops(path, finder.find(image)))


def _search_video(path: Path, numbers: Sequence[int], finder: Finder) -> Iterator[_View]:
    for number, image in read_frames(path, numbers):
        yield _View(image, 1.0, _crops(path, finder.find(image), number))


def _crops(path: Path, boxes: Floats, frame: int | None = None) -> list[Crop]:
    """The crops of an image, the largest first."""
    order = np.argsort(-areas(boxes), kind="stable")
    return [Crop(path, (float(x1), float(y1), float(x2), float(y2)), frame) for x1, y1, x2, y2 in boxes[order]]


def _collect(views: Iterator[_View], count: int, found_by: str, progress: Progress | None) -> Candidates:
    crops: list[Crop] = []
    rows: list[Floats] = []
    turns: list[int] = []
    prints: list[str] = []
    number = 0
    for number, view in enumerate(views, 1):
        if view.crops:
            boxes = np.array([crop_box(crop, view.image, view.scale) for crop in view.crops], np.float32)
            rows.append(describe(view.image, boxes, view.scale))
            crops += view.crops
            turns += range(len(view.crops))
            prints += [fingerprint(view.image)] * len(view.crops)
        if progress:
            progress(number, count)
    table = np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
    return Candidates(crops, table, np.array(turns, np.int64), prints, found_by, number)


def crop_box(crop: Crop, image: Image, scale: float = 1.0) -> Box:
    """The box of a crop, which is that of the whole image where it has none.

    Args:
        crop: The crop.
        image: Its image, which may have been reduced.
        scale: What that was reduced by.
    """
    height, width = image.shape[:2]
    return crop.box or (0.0, 0.0, width / scale, height / scale)
