"""Sources of crops to select from: a folder, a COCO keypoint file, a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.dataset.finder import Finder, OpenFinder
from edgehr.calib.dataset.frames import count_frames, read_frames
from edgehr.calib.dataset.looking import Crop, Look, Picture, Progress, crops_of, look_at_frame, look_at_pictures
from edgehr.calib.dataset.selection import Floats
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import annotated_people
from edgehr.evaluation.base import Evaluator
from edgehr.live.sources import VIDEO_SUFFIXES
from edgehr.spread import Crew
from edgehr.tasks.base import Task
from edgehr.tasks.image.reading import image_files, image_files_within, read_images

# Of larger sets so many crops, spread over the set, are compared: looking at each costs a millisecond or two.
POOL = 1200
# Images or frames in which people are searched for, for each crop that is wanted.
SEARCHED_PER_CROP = 2
GOLDEN = (5**0.5 - 1) / 2

T = TypeVar("T")


@dataclass(frozen=True)
class Candidates:
    """Holds crops to select from.

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


def collect_candidates(
    source: Path,
    images: Path | None,
    max_crops: int,
    open_finder: OpenFinder | None,
    progress: Progress | None,
    card: ModelCard | None,
    crew: Crew,
) -> Candidates:
    """Collect crops from a source.

    Args:
        source: As for `CalibrationSet.of`.
        images: The images of an annotation file.
        max_crops: How many are to be selected of them.
        open_finder: Opens what finds people where there are no annotations.
        progress: Called with the images done and how many there are.
        card: The model, whose task says which boxes of an annotation file count.
        crew: Who looks at images.

    Raises:
        EdgehrError: There is no such source, it cannot be read, or the finder does not fit it.
    """
    kind = kind_of(source)
    if kind == "annotations":
        if open_finder:
            raise EdgehrError(f"{source}: its people have boxes: a detector goes with a folder of images or a video")
        pictures = _annotated(source, images, max(POOL, 2 * max_crops), card)
        looks = (reply.unpack() for reply in look_at_pictures(crew, pictures, None, progress))
        return _collect(looks, "annotations")
    if kind == "folder":
        if open_finder:
            files = sample_evenly(_images(source), SEARCHED_PER_CROP * max_crops)
            pictures = [Picture(path, None) for path in files]
        else:
            files = sample_evenly(_images(source), max(POOL, 2 * max_crops))
            pictures = [Picture(path, (Crop(path, None),)) for path in files]
        replies = dict(zip(files, look_at_pictures(crew, pictures, open_finder, progress), strict=True))
        # What could not be read is left out and said, as everywhere.
        looks = (look for _, look in read_images(files, lambda path: replies[path].unpack()))
        return _collect(looks, "whole images")
    if not open_finder:
        raise EdgehrError(f"{source}: finding the people of a video needs a detector, or the pose model in float")
    numbers = sample_evenly(range(count_frames(source)), SEARCHED_PER_CROP * max_crops)
    with open_finder() as finder:
        return _collect(_look_at_frames(finder, source, numbers, progress), finder.by)


def _look_at_frames(finder: Finder, video: Path, numbers: Sequence[int], progress: Progress | None) -> Iterator[Look]:
    for done, (number, image) in enumerate(read_frames(video, numbers), 1):
        yield look_at_frame(finder, video, number, image)
        if progress:
            progress(done, len(numbers))


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


def _annotated(source: Path, folder: Path | None, max_people: int, card: ModelCard | None) -> list[Picture]:
    """List people, or faces, by image; of too many, the largest of each image first, then the second ones."""
    judged = card is not None and Task.for_card(card).evaluator
    images = Evaluator.for_card(card).annotated(source, folder) if card and judged else annotated_people(source, folder)
    by_name = sorted(images, key=lambda image: image.path.name)
    people = [crops_of(image.path, image.boxes, size=image.size) for image in by_name]
    taken: set[Crop] = set()
    for rank in zip_longest(*people):
        taken.update(sample_evenly([crop for crop in rank if crop is not None], max_people - len(taken)))
    kept = (tuple(crop for crop in of_image if crop in taken) for of_image in people)
    return [Picture(crops[0].image, crops) for crops in kept if crops]


def _collect(looks: Iterable[Look], found_by: str) -> Candidates:
    crops: list[Crop] = []
    rows: list[Floats] = []
    ranks: list[int] = []
    fingerprints: list[str] = []
    searched = 0
    for look in looks:
        searched += 1
        if look.crops:
            rows.append(look.descriptors)
            crops += look.crops
            ranks += range(len(look.crops))
            fingerprints += [look.fingerprint] * len(look.crops)
        found_by = look.found_by or found_by
    table = np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
    return Candidates(crops, table, np.array(ranks, np.int64), fingerprints, found_by, searched)
