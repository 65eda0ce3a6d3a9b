"""Frames of a video by their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgehr.live.sources.base import decoded_image
from edgehr.live.sources.video import frame_count, open_video
from edgehr.tasks.image.reading import Image


def count_frames(path: Path) -> int:
    """Count the frames of a video by its header or, where that does not tell, by going through it.

    Raises:
        EdgehrError: It cannot be opened.
    """
    capture = open_video(path)
    try:
        return frame_count(capture) or sum(1 for _ in iter(capture.grab, False))
    finally:
        capture.release()


def read_frames(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, Image]]:
    """Give the frames of these numbers, counted from 0, in the order of time.

    The video is gone through from its beginning: seeking lands on other frames with other codecs and versions. Frames
    between are only decoded, not converted.

    Args:
        path: The video.
        numbers: Those wanted; what lies beyond the end, or cannot be decoded, is left out.

    Raises:
        EdgehrError: It cannot be opened.
    """
    capture = open_video(path)
    try:
        at = 0
        for number in sorted(set(numbers)):
            while at < number and capture.grab():
                at += 1
            there, raw = capture.read()
            if at < number or not there:
                return
            at += 1
            image = decoded_image(raw)
            if image is not None:
                yield number, image
    finally:
        capture.release()
