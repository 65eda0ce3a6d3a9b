"""Where frames come from: an image, a folder of images, a video file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.tasks.images import IMAGE_SUFFIXES, image_files, read_image

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        name: File name; of a video, with the frame's number.
        image: (H, W, 3) BGR.
    """

    name: str
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """A sequence of frames.

    Attributes:
        path: Where it comes from.
        kind: ``images`` (unrelated pictures) or ``video``.
        count: Number of frames, 0 if unknown.
        fps: Frames per second of a video.
    """

    path: Path
    kind: str
    count: int
    fps: float = 0.0

    def __iter__(self) -> Iterator[Frame]:
        return _video_frames(self.path) if self.kind == "video" else _image_frames(image_files(self.path))


def open_source(path: Path) -> Source:
    """Look at a path and say what it holds.

    Raises:
        EdgehrError: Nothing there, an empty folder, or a file of an unknown kind.
    """
    if not path.exists():
        raise EdgehrError(f"{path}: no such image, folder or video")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in IMAGE_SUFFIXES:
        return Source(path, "images", len(image_files(path)))
    if suffix not in VIDEO_SUFFIXES:
        known = ", ".join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)
        raise EdgehrError(f"{path}: unknown kind of file: expected a folder or one of {known}")
    capture = _open_video(path)
    count, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return Source(path, "video", max(int(count), 0), fps if 0 < fps < 1000 else 25.0)


def _image_frames(paths: list[Path]) -> Iterator[Frame]:
    for path in paths:
        yield Frame(path.name, read_image(path))


def _open_video(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise EdgehrError(f"{path}: OpenCV cannot open this video, damaged or of a codec it lacks")
    return capture


def _video_frames(path: Path) -> Iterator[Frame]:
    capture = _open_video(path)
    try:
        number = 0
        while True:
            there, image = capture.read()
            if not there:
                break
            yield Frame(f"{path.stem}-{number:06d}.jpg", image)
            number += 1
        if not number:
            raise EdgehrError(f"{path}: no frame of this video can be decoded")
    finally:
        capture.release()
