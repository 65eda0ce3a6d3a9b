"""Frames as a video file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgehr.errors import EdgehrError
from edgehr.files import check_writable, plain_name
from edgehr.live.sinks.base import Result
from edgehr.live.sinks.pending import PendingFile
from edgehr.live.sources import Frame
from edgehr.live.sources.base import Listener, warn
from edgehr.live.sources.video import MAX_FPS
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image, as_bgr

# Of these kinds OpenCV writes files that it reads again, with every frame; AVI drops frames above 600 a second.
CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".m4v": "mp4v", ".avi": "MJPG", ".mkv": "MJPG", ".webm": "VP80"}
MOST_FPS = {".avi": 600.0}
# So long a picture is shown at most for want of a later one: a camera was away, or a timestamp is damaged.
MAX_STILL_S, MAX_STILL_OF_FILE_S = 1.0, 60.0
# Frames of a file come as they are as long as the video is no further than this off, in its own frames.
TOO_LATE, TOO_EARLY = 0.75, 1.5


class VideoSink:
    """Writes frames into a video file, which appears when it is complete.

    Its rate is even. Frames that know their time, those of a live source and of a video file, are each shown until the
    next one, so that the video runs at the speed of what it shows: one that comes too soon is left out.

    Args:
        path: The file.
        fps: Frames per second; the nearest that the file can have is taken.
        live: Whether the frames come at their own pace: each is then shown until the next one was captured, a second
            at most.
        tell: Is told of what is not as it was asked for.

    Raises:
        EdgehrError: The file cannot be written, or is of a kind that OpenCV does not write.
    """

    def __init__(self, path: Path, fps: float, live: bool = False, tell: Listener = warn) -> None:
        self._codec = CODECS.get(path.suffix.lower(), "")
        if not self._codec:
            raise EdgehrError(f"{path}: OpenCV writes no video of this kind: give one of {', '.join(CODECS)}")
        check_writable(path)
        self._path, self._fps, self._live, self._tell = path, fps, live, tell
        self._pending: PendingFile | None = None
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._frames = self._left_out = self._cut_short = 0
        self._last: Image | None = None
        self._last_s = self._due = 0.0

    def write(self, frame: Frame, result: Result | None = None) -> None:
        """Append a frame; one of another size than the first is scaled to it."""
        image = as_bgr(frame.image)
        if self._writer is None:
            self._writer = self._open(image)
        if image.shape[1::-1] != self._size:
            image = np.asarray(cv2.resize(image, self._size), np.uint8)
        time_s = frame.time_s if self._live else frame.position_s
        if time_s is None:
            self._append(image, 1)
            return
        if self._last is not None:
            self._append(self._last, self._count(time_s - self._last_s))
        self._last, self._last_s = image, time_s

    def _count(self, seconds: float) -> int:
        """Count the frames of the file for which an image is shown so long; what rounding leaves goes to the next."""
        longest = MAX_STILL_S if self._live else MAX_STILL_OF_FILE_S
        self._cut_short += seconds > longest
        self._due += min(seconds, longest) * self._fps
        # The jitter of a file's timestamps is no reason to show a frame twice or not at all.
        as_it_comes = not self._live and 1 - TOO_EARLY < self._due - self._frames < 1 + TOO_LATE
        count = 1 if as_it_comes else max(round(self._due) - self._frames, 0)
        self._left_out += not count
        return count

    def _append(self, image: Image, count: int) -> None:
        assert self._writer is not None  # noqa: S101 - for the type checker
        for _ in range(count):
            self._writer.write(image)
        self._frames += count

    def _open(self, image: Image) -> cv2.VideoWriter:
        """Open the file with the rate that is nearest to the wanted one: codecs have limits to its fraction."""
        self._size = (image.shape[1], image.shape[0])
        self._pending = PendingFile(self._path)
        highest = min(self._fps, MOST_FPS.get(self._path.suffix.lower(), MAX_FPS))
        rates = [highest, *(max(round(highest, digits), 1.0) for digits in (2, 1, 0))]
        with plain_name(self._pending.temporary) as name:
            for fps in dict.fromkeys(rates):
                writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*self._codec), fps, self._size)
                if writer.isOpened():
                    break
            else:
                size = "x".join(map(str, self._size))
                others = ", ".join(kind for kind in CODECS if CODECS[kind] != self._codec)
                raise EdgehrError(
                    f"{self._path}: this OpenCV cannot write a video of {size} pixels in this kind of file: "
                    f"try another one ({others})"
                )
        if fps != self._fps:
            self._tell(f"{self._path}: has {fps:g} frames a second, the nearest to {self._fps:g} that it can have")
        self._fps = fps
        return writer

    def close(self) -> list[Path]:
        """Finish the file, see that every frame is in it, and move it into place."""
        if self._writer is None or self._pending is None:
            return []
        if self._last is not None:
            self._append(self._last, 1)
        self._writer.release()
        try:
            self._check(self._pending.temporary)  # the writer itself does not tell of a full disk
            self._pending.keep()
        finally:
            self.discard()
        if self._left_out and not self._live:
            self._tell(f"{self._path}: {self._left_out} frames came closer together than it can show, and are left out")
        if self._cut_short and not self._live:
            self._tell(
                f"{self._path}: {self._cut_short} frames with nothing after them for more than {MAX_STILL_OF_FILE_S:g} "
                "s are shown for so long only"
            )
        return [self._path]

    def discard(self) -> None:
        """Delete the unfinished file."""
        if self._writer is not None:
            self._writer.release()
        if self._pending is not None:
            self._pending.discard()  # nothing, once it was kept
        self._writer = self._pending = self._last = None

    def _check(self, path: Path) -> None:
        with plain_name(path) as name:
            written = cv2.VideoCapture(name)
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
        if count < self._frames:  # some kinds have no count, but one by their duration
            written.set(cv2.CAP_PROP_FORMAT, -1)  # without decoding
            count = sum(1 for _ in iter(written.grab, False))
        written.release()
        if count < self._frames:
            raise EdgehrError(f"{self._path}: only {count} of {self._frames} frames were written: is the disk full?")
