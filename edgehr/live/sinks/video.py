"""Frames as a video file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgehr.errors import EdgehrError
from edgehr.files import check_writable
from edgehr.live.sinks.base import Result
from edgehr.live.sinks.pending import PendingFile
from edgehr.live.sources import Frame
from edgehr.tasks.image.reading import Image

MAX_STILL_S = 1.0


class VideoSink:
    """Writes frames into a video file, which appears when it is complete.

    Args:
        path: The file.
        fps: Frames per second.
        by_time: Whether the frames come at their own pace, as a live source's do: each then is shown until the next
            one was captured (a second at most), and one that comes too soon is left out, so the video runs at the
            speed of what it shows.
    """

    def __init__(self, path: Path, fps: float, by_time: bool = False) -> None:
        check_writable(path)
        self._path, self._fps, self._by_time = path, fps, by_time
        self._pending: PendingFile | None = None
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._frames = 0
        self._last: Image | None = None
        self._last_s = self._due = 0.0

    def write(self, frame: Frame, result: Result | None = None) -> None:
        """Append a frame; one of another size than the first is scaled to it."""
        if self._writer is None:
            self._writer = self._open(frame.image)
        image = frame.image
        if image.shape[1::-1] != self._size:
            image = np.asarray(cv2.resize(image, self._size), np.uint8)
        if not self._by_time:
            self._append(image)
            return
        if self._last is not None:
            self._hold(self._last, frame.time_s - self._last_s)
        self._last, self._last_s = image, frame.time_s

    def _hold(self, image: Image, seconds: float) -> None:
        """Show an image for so long, to the nearest frame; what rounding leaves goes to the next one."""
        self._due += min(seconds, MAX_STILL_S) * self._fps
        while self._frames < round(self._due):
            self._append(image)

    def _append(self, image: Image) -> None:
        assert self._writer is not None  # noqa: S101 - for the type checker
        self._writer.write(image)
        self._frames += 1

    def _open(self, image: Image) -> cv2.VideoWriter:
        self._size = (image.shape[1], image.shape[0])
        self._pending = PendingFile(self._path)
        codec = cv2.VideoWriter.fourcc(*("mp4v" if self._path.suffix.lower() in (".mp4", ".mov", ".m4v") else "MJPG"))
        writer = cv2.VideoWriter(str(self._pending.temporary), codec, self._fps, self._size)
        if not writer.isOpened():
            raise EdgehrError(f"{self._path}: OpenCV cannot write this kind of video: try .mp4")
        return writer

    def close(self) -> list[Path]:
        """Finish the file, see that every frame is in it, and move it into place."""
        if self._writer is None or self._pending is None:
            return []
        if self._last is not None:
            self._append(self._last)
        self._writer.release()
        try:
            self._check(self._pending.temporary)  # the writer itself does not tell of a full disk
            self._pending.keep()
        finally:
            self.discard()
        return [self._path]

    def discard(self) -> None:
        """Delete the unfinished file."""
        if self._writer is not None:
            self._writer.release()
        if self._pending is not None:
            self._pending.discard()  # nothing, once it was kept
        self._writer = self._pending = self._last = None

    def _check(self, path: Path) -> None:
        written = cv2.VideoCapture(str(path))
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
        written.release()
        if count < self._frames:
            raise EdgehrError(f"{self._path}: only {count} of {self._frames} frames were written: is the disk full?")
