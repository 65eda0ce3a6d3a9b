"""Video files: every frame in order, or paced as a camera would give them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from edgehr.errors import EdgehrError
from edgehr.files import plain_name
from edgehr.live.sources.base import Frame, Kind, Listener, decoded_image, file_stem
from edgehr.live.sources.live import Capture
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image

DEFAULT_FPS = 25.0  # where the file does not tell
# Some writers, and every container whose count OpenCV has to derive from the duration, are a little off.
MAX_MISSING_SHARE, MAX_MISSING_FRAMES = 0.01, 2
MAX_FPS = 1000.0  # in a header, that or more (90000) is the unit of the timestamps
MAX_TIMES, REORDERED = 10_000, 32
# Frames by which a video of an even rate may be off: timestamps in milliseconds, and the jitter of a phone's camera.
UNEVEN = 1.5
FAST_SHARE = 0.1  # of the frames may come closer together than in the "fast parts"


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
        self.fps = frame_rate(capture)
        capture.release()
        if not self.fps:
            times = frame_times(path) if path else []
            self.fps = _mean_rate(times) if times else DEFAULT_FPS
        self.count = 0 if loop else self._expected

    def __iter__(self) -> Generator[Frame, None, None]:
        stem = self.path.stem if self.path else file_stem(self.name)
        number, rounds, started = 0, 0, 0.0
        while not self._closed.is_set() and (self._loop or not rounds):
            decoded, position = 0, -1 / self.fps
            with closing(self._decode()) as images:
                for image, stamp in images:
                    # Some files have none, or some that go back: then by the mean rate.
                    position = stamp if stamp > position else position + 1 / self.fps
                    name = f"{stem}-{number:06d}.jpg"
                    yield Frame(name, image, number, time.monotonic(), started + position)
                    number, decoded = number + 1, decoded + 1
            started += position + 1 / self.fps
            # In later rounds there may be another file in its place.
            if not self._closed.is_set() and not (rounds and decoded):
                self._check_count(decoded)
            rounds += 1

    def _decode(self) -> Generator[tuple[Image, float], None, None]:
        """Give each image with its timestamp in seconds."""
        capture = self._connect()
        try:
            while not self._closed.is_set():
                there, raw = capture.read()
                if not there:
                    return
                image = decoded_image(raw)
                if image is not None:
                    yield image, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
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
                due = started + (frame.position_s or 0)
                if stop.wait(max(due - time.monotonic(), 0)):
                    return
                yield frame.image

    return capture


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video file; raises EdgehrError where OpenCV cannot."""
    if not path.exists():
        raise EdgehrError(f"{path}: there is no such video any more")
    with plain_name(path) as name:
        capture = cv2.VideoCapture(name)
    if not capture.isOpened():
        raise EdgehrError(f"{path}: OpenCV cannot open this video, damaged or of a codec it lacks")
    return capture


def frame_count(capture: cv2.VideoCapture) -> int:
    """Count the frames of a video by its header; 0 where that does not tell (OpenCV then gives negative numbers)."""
    return max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)


def frame_rate(capture: cv2.VideoCapture) -> float:
    """Ask the file or the driver for the frames per second; 0 where it says nothing that can be."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps < MAX_FPS else 0.0


def frame_times(path: Path) -> list[float]:
    """Read when the frames of a video file are due, seconds, in order, without decoding them.

    Of a long video, its first minutes; none where OpenCV (4.8, for one) does not tell, or there are not two.
    """
    times: list[float] = []
    capture = open_video(path)
    try:
        if capture.set(cv2.CAP_PROP_FORMAT, -1):  # packets as they are in the file, not in the order of time
            while len(times) < MAX_TIMES and capture.grab():
                times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    finally:
        capture.release()
    times.sort()
    if len(times) == MAX_TIMES:  # some of the last may have been further on
        times = times[:-REORDERED]
    return times if len(times) > 1 and times[0] < times[-1] else []


def even_rate(times: Sequence[float], fps: float) -> float:
    """Choose at how many frames a second a video of one rate shows those of another.

    Args:
        times: When its frames are due, seconds, in order; may be empty.
        fps: Its mean rate as its header has it.

    Returns:
        The mean rate, if no frame is more than `UNEVEN` frames off by it; else that of its fast parts.
    """
    if not times:
        return fps
    mean = _mean_rate(times)
    stamps = np.asarray(times) - times[0]
    if np.abs(stamps * mean - np.arange(len(stamps))).max() > UNEVEN:
        steps = np.diff(stamps)
        return min(1 / float(np.quantile(steps[steps > 0], FAST_SHARE)), MAX_FPS)
    return fps if abs(fps - mean) < mean / 1000 else mean  # without the rounding of timestamps


def _mean_rate(times: Sequence[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0])
