"""Where drawn frames go: image files, or a video file."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, check_writable
from edgehr.pose.sources import VIDEO_SUFFIXES, Frame, Source
from edgehr.tasks.images import IMAGE_SUFFIXES


class Sink(Protocol):
    """Takes frames one by one; `close` finishes the files."""

    def write(self, frame: Frame) -> None:
        """Take a frame."""

    def close(self) -> list[Path]:
        """Finish and return the files that were written."""

    def discard(self) -> None:
        """Give up: leave no unfinished file."""


def open_sink(out: Path, source: Source) -> Sink:
    """Choose how to save what comes from a source.

    Args:
        out: An image file for a single image, a video file for a video; otherwise a folder, made if needed, which gets
            files named as the source's (a video's as `.mp4`).
        source: Where the frames come from.

    Raises:
        EdgehrError: The name does not suit the source, or is the source itself.
    """
    suffix = out.suffix.lower()
    if source.kind == "video":
        path = out if suffix in VIDEO_SUFFIXES else out / f"{source.path.stem}.mp4"
        if suffix in IMAGE_SUFFIXES:
            raise EdgehrError(f"{out}: an image cannot hold the video {source.path}: give a .mp4 file or a folder")
        _refuse_source(path, source)
        return VideoSink(path, source.fps)
    if suffix in VIDEO_SUFFIXES:
        raise EdgehrError(f"{out}: give an image file or a folder to save pictures to")
    if suffix in IMAGE_SUFFIXES and (source.path.is_dir() or source.count != 1):
        raise EdgehrError(f"{out}: one image cannot hold the {source.count} of {source.path}: give a folder")
    single = suffix in IMAGE_SUFFIXES
    _refuse_source(out if single or source.path.is_dir() else out / source.path.name, source)
    return ImageSink(out, single)


def _refuse_source(path: Path, source: Source) -> None:
    if path.resolve() == source.path.resolve():
        raise EdgehrError(f"{path}: would overwrite the source; choose another place to save to")


class ImageSink:
    """Writes each frame as an image file, whole or not at all.

    Args:
        out: A file, or the folder to put files into.
        single: Whether `out` is the file.
    """

    def __init__(self, out: Path, single: bool) -> None:
        self._out, self._single = out, single
        self._written: list[Path] = []

    def write(self, frame: Frame) -> None:
        """Write the frame under its own name, or as the one file."""
        path = self._out if self._single else self._out / frame.name
        with atomic_write(path) as (temporary,):
            if not cv2.imwrite(str(temporary), frame.image):
                raise EdgehrError(f"{path}: OpenCV cannot write this image")
        self._written.append(path)

    def close(self) -> list[Path]:
        """Return the files that were written."""
        return self._written

    def discard(self) -> None:
        """Every file is whole already."""


class VideoSink:
    """Writes frames into a video file, which appears when it is complete.

    Args:
        path: The file.
        fps: Frames per second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        check_writable(path)
        self._path, self._fps = path, fps
        self._stack = ExitStack()
        self._temporary = Path()
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._frames = 0

    def write(self, frame: Frame) -> None:
        """Append a frame; one of another size than the first is scaled to it."""
        if self._writer is None:
            self._writer = self._open(frame.image)
        image = frame.image
        if image.shape[1::-1] != self._size:
            image = np.asarray(cv2.resize(image, self._size), np.uint8)
        self._writer.write(image)
        self._frames += 1

    def _open(self, image: NDArray[np.uint8]) -> cv2.VideoWriter:
        self._size = (image.shape[1], image.shape[0])
        (self._temporary,) = self._stack.enter_context(atomic_write(self._path))
        codec = cv2.VideoWriter.fourcc(*("mp4v" if self._path.suffix.lower() in (".mp4", ".mov", ".m4v") else "MJPG"))
        writer = cv2.VideoWriter(str(self._temporary), codec, self._fps, self._size)
        if not writer.isOpened():
            raise EdgehrError(f"{self._path}: OpenCV cannot write this kind of video: try .mp4")
        return writer

    def close(self) -> list[Path]:
        """Finish the file, see that every frame is in it, and move it into place."""
        if self._writer is None:
            return []
        self._writer.release()
        try:
            with self._stack:
                self._check()  # the writer itself does not tell of a full disk
        finally:
            self._writer = None
        return [self._path]

    def discard(self) -> None:
        """Delete the unfinished file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            with suppress(DiscardedError), self._stack:
                raise DiscardedError

    def _check(self) -> None:
        written = cv2.VideoCapture(str(self._temporary))
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
        written.release()
        if count != self._frames:
            raise EdgehrError(f"{self._path}: only {count} of {self._frames} frames were written: is the disk full?")


class DiscardedError(Exception):
    """Makes `atomic_write` give up without moving anything."""
