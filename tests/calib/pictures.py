"""Pictures, videos and a detector that need no files from elsewhere."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgehr.calib.dataset.finder import Finder


def picture(seed: int, width: int = 320, height: int = 256) -> Any:
    """Soft random blobs: as unlike each other as photographs, and the same for the same seed."""
    blobs = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC)


def folder(path: Path, count: int, first: int = 0) -> Path:
    """A folder of so many different pictures."""
    path.mkdir()
    for number in range(first, first + count):
        cv2.imwrite(str(path / f"{number:05d}.jpg"), picture(number))
    return path


def video(path: Path, frames: list[Any]) -> Path:
    """A video of these pictures."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def middle(image: Any) -> Any:
    """The middle of an image, as the box of the one person in it."""
    height, width = image.shape[:2]
    return np.array([[width / 4, height / 8, 3 * width / 4, 7 * height / 8]], np.float32)


MIDDLE = partial(nullcontext, Finder(middle, "the middle, weights none"))
