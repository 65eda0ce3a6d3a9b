"""Looks at pictures for their crops, in this process or wherever the work is spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgehr.calib.dataset.finder import Finder, OpenFinder
from edgehr.calib.dataset.selection import Floats, describe_crops
from edgehr.evaluation.overlap import fingerprint
from edgehr.spread import Crew, Opened, Reply, attempt, in_order, spread
from edgehr.spread.models import check_there, runs_on
from edgehr.tasks.image.boxes import areas
from edgehr.tasks.image.reading import Image, read_image, read_reduced

PICTURES = 16  # of a piece

Box = tuple[float, float, float, float]
Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class Crop:
    """Names a part of an image, or of a frame of a video.

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
class Picture:
    """Names an image to look at.

    Attributes:
        path: The file.
        crops: Its crops; None for those that a finder finds in it.
    """

    path: Path
    crops: tuple[Crop, ...] | None


@dataclass(frozen=True)
class Look:
    """Holds what was seen in an image or a frame.

    Attributes:
        crops: N of them, those that were found the largest first.
        descriptors: (N, D) how they look, see `edgehr.calib.dataset.selection`.
        fingerprint: That of the image; empty where there are no crops.
        found_by: The finder, in words; empty where the crops were known.
    """

    crops: tuple[Crop, ...]
    descriptors: Floats
    fingerprint: str
    found_by: str = ""


@dataclass(frozen=True)
class Pictures:
    """Holds the pictures of a piece."""

    pictures: Sequence[Picture] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.pictures[0].path} and {len(self.pictures) - 1} more"


@dataclass(frozen=True)
class Looking:
    """Looks at the pictures of pieces: what the workers of a calibration do.

    Attributes:
        open_finder: Opens what finds crops; None where they are known.
        elsewhere: Whether workers may be on other machines: a file that is not there is then left to others.
    """

    open_finder: OpenFinder | None
    elsewhere: bool = False

    @contextmanager
    def open(self) -> Iterator[Opened[Pictures, list[Reply]]]:
        """Open the finder."""
        with self.open_finder() if self.open_finder else nullcontext() as finder:
            about = runs_on(finder.runtime if finder else None)

            def do(piece: Pictures) -> list[Reply]:
                for picture in piece.pictures if self.elsewhere else ():
                    check_there(picture.path)
                return [_look_at_picture(finder, picture) for picture in piece.pictures]

            yield Opened(do, about)


def look_at_pictures(
    crew: Crew, pictures: Sequence[Picture], open_finder: OpenFinder | None, progress: Progress | None = None
) -> Iterator[Reply]:
    """Look at pictures, and give what came of each in their order: a `Look`, or why it cannot be read.

    Args:
        crew: Who looks.
        pictures: The pictures.
        open_finder: Opens what finds crops; None where they are known.
        progress: Called with the pictures done and how many there are.

    Raises:
        EdgehrError: The finder cannot be opened or fails, or workers cannot be had.
    """
    if crew.elsewhere:  # where a worker begins is another folder
        pictures = [replace(picture, path=picture.path.absolute()) for picture in pictures]
    pieces = [Pictures(pictures[start : start + PICTURES]) for start in range(0, len(pictures), PICTURES)]
    done = 0
    for replies in in_order(spread(crew, Looking(open_finder, crew.elsewhere), pieces)):
        yield from replies
        done += len(replies)
        if progress:
            progress(done, len(pictures))


def look_at_frame(finder: Finder, video: Path, number: int, image: Image) -> Look:
    """Look at the frame of a video that has this number."""
    return _look(image, 1.0, crops_of(video, finder.find(image), number), finder.by)


def _look_at_picture(finder: Finder | None, picture: Picture) -> Reply:
    """Look at a picture; that it cannot be read is a reply, and what the finder raises is none."""
    read = attempt(_read, picture)
    if read.error is not None:
        return read
    image, scale = read.value
    if picture.crops is not None:
        return Reply(_look(image, scale, picture.crops))
    assert finder is not None  # noqa: S101 - crops are unknown only where there is one
    return Reply(_look(image, scale, crops_of(picture.path, finder.find(image)), finder.by))


def _read(picture: Picture) -> tuple[Image, float]:
    """Read a picture, reduced where its crops are known; returns it with the factor."""
    if picture.crops is None:
        return read_image(picture.path), 1.0
    return read_reduced(picture.path, picture.crops[0].size)


def _look(image: Image, scale: float, crops: tuple[Crop, ...], found_by: str = "") -> Look:
    if not crops:
        return Look((), np.zeros((0, 1), np.float32), "", found_by)
    boxes = np.array([crop_box(crop, image, scale) for crop in crops], np.float32)
    return Look(crops, describe_crops(image, boxes, scale), fingerprint(image), found_by)


def crops_of(
    path: Path, boxes: Floats, frame: int | None = None, size: tuple[int, int] | None = None
) -> tuple[Crop, ...]:
    """Return the crops of an image, the largest first.

    Args:
        path: The image, or the video.
        boxes: (N, 4) xyxy, image pixels.
        frame: As for `Crop`.
        size: As for `Crop`.
    """
    order = np.argsort(-areas(boxes), kind="stable")
    found = (Crop(path, (float(x1), float(y1), float(x2), float(y2)), frame, size) for x1, y1, x2, y2 in boxes[order])
    return tuple(found)


def crop_box(crop: Crop, image: Image, scale: float = 1.0) -> Box:
    """Return the box of a crop, or that of the whole image where it has none.

    Args:
        crop: The crop.
        image: Its image, which may have been reduced.
        scale: Factor by which that was reduced.
    """
    height, width = image.shape[:2]
    return crop.box or (0.0, 0.0, width / scale, height / scale)
