"""Video files: every frame in order, or paced as a camera would give them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import cv2

from edgehr.errors import EdgehrError
from edgehr.live.sources.base import Frame, Kind, Listener, decoded_image, file_stem
from edgehr.live.sources.live import Capture
from edgehr.tasks.image.reading import Image, opencv_name

DEFAULT_FPS = 25.0  # where the file does not tell
# Some writers, and every container whose count OpenCV has to derive from the duration, are a little off.
MAX_MISSING_SHARE, MAX_MISSING_FRAMES = 0.01, 2


class VideoSource:
    """Every frame of a video, in order, at the speed of whoever takes them.

    A damaged video gives the frames that can be decoded; the listener is told how many are missing.

    Args:
        name: What to call it in messages.
        connect: Opens the video at its beginning; raises EdgehrError where that fails.
        listener: Is told of damage.
        path: The file, if it is one.
        loop: Start again at the end, for ever. Frame numbers go on counting.

    Raises:
        EdgehrError: It cannot be opened; while iterating, no frame of it can be decoded.
    """

    kind: Kind = "video"
    dropped = 0

    def __init__(
        self,
        name: str,
        connect: Callable[[], cv2.VideoCapture],
        listener: Listener,
        path: Path | None = None,
        *,
        loop: bool = False,
    ) -> None:
        self.name, self.path = name, path
        self._connect, self._tell, self._loop = connect, listener, loop
        self._closed = threading.Event()
        capture = connect()
        self._expected = frame_count(capture)
        self.fps = frame_rate(capture) or DEFAULT_FPS
        capture.release()
        self.count = 0 if loop else self._expected

    def __iter__(self) -> Generator[Frame, None, None]:
        stem = self.path.stem if self.path else file_stem(self.name)
        number, rounds = 0, 0
        while not self._closed.is_set() and (self._loop or not rounds):
            decoded = 0
            with closing(self._decode()) as images:
                for image in images:
                    yield Frame(f"{stem}-{number:06d}.jpg", image, number, time.monotonic())
                    number, decoded = number + 1, decoded + 1
            if not self._closed.is_set() and not rounds:
                self._check_count(decoded)
            rounds += 1

    def _decode(self) -> Generator[Image, None, None]:
        capture = self._connect()
        try:
            while not self._closed.is_set():
                there, raw = capture.read()
                if not there:
                    return
                image = decoded_image(raw)
                if image is not None:
                    yield image
        finally:
            capture.release()

    def _check_count(self, decoded: int) -> None:
        """Compare with what the file's header promises."""
        if not decoded:
            raise EdgehrError(f"{self.name}: no frame of this video can be decoded")
        missing = self._expected - decoded
        if missing > max(MAX_MISSING_FRAMES, MAX_MISSING_SHARE * self._expected):
            self._tell(
                f"{self.name}: {decoded} of the {self._expected} frames that its header promises could be decoded: "
                "it is damaged or was cut off"
            )

    def close(self) -> None:
        """End the iteration after the frame it is at."""
        self._closed.set()


def in_real_time(video: VideoSource) -> Capture:
    """Capture from a video when its frames are due, as a camera would give them; for `LiveSource`."""

    def capture(stop: threading.Event, tell: Listener) -> Generator[Image, None, None]:
        started = time.monotonic()
        with closing(iter(video)) as frames:
            for frame in frames:
                due = started + frame.number / video.fps
                if stop.wait(max(due - time.monotonic(), 0)):
                    return
                yield frame.image

    return capture


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video file; raises EdgehrError where OpenCV cannot."""
    capture = cv2.VideoCapture(opencv_name(path))
    if not capture.isOpened():
        raise EdgehrError(f"{path}: OpenCV cannot open this video, damaged or of a codec it lacks")
    return capture


def frame_count(capture: cv2.VideoCapture) -> int:
    """Count the frames of a video by its header; 0 where that does not tell (OpenCV then gives negative numbers)."""
    return max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)


def frame_rate(capture: cv2.VideoCapture) -> float:
    """Ask the file or the driver for the frames per second; 0 where it says nothing that can be."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps < 1000 else 0.0
