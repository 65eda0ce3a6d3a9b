"""A short clip of several people, made as it is played: a camera that moves over the picture that ships with edgehr."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgehr.assets import group_picture
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image, read_image

CLIP = "clip"
FPS, FRAMES = 25.0, 200
WIDTH, HEIGHT = 800, 320
CLOSEST = 0.8  # height of what is seen, of that of the picture, where the camera is nearest


class ClipCapture:
    """Gives the frames of the clip as `cv2.VideoCapture` gives those of a file. Its end is its beginning."""

    def __init__(self) -> None:
        self._picture = read_image(group_picture())
        self._next = 0

    def read(self) -> tuple[bool, Image | None]:
        """Return whether there is a further frame, and the frame, (HEIGHT, WIDTH, 3) BGR."""
        if self._next == FRAMES:
            return False, None
        angle = 2 * math.pi * self._next / FRAMES
        self._next += 1
        height, width = self._picture.shape[:2]
        # Nearest halfway between the ends of the picture, there and back.
        scale = height * (1 - (1 - CLOSEST) * (1 - math.cos(2 * angle)) / 2) / HEIGHT
        left = (width - scale * WIDTH) * (1 - math.cos(angle)) / 2
        top = (height - scale * HEIGHT) / 2
        seen = np.array([[scale, 0, left], [0, scale, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frame = cv2.warpAffine(self._picture, seen, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return True, np.asarray(frame, np.uint8)

    def get(self, what: int) -> float:
        """Return a property of the clip, by OpenCV's number; 0 for those that it has not."""
        return {
            cv2.CAP_PROP_FPS: FPS,
            cv2.CAP_PROP_FRAME_COUNT: float(FRAMES),
            cv2.CAP_PROP_POS_MSEC: 1000 * (self._next - 1) / FPS,
        }.get(what, 0.0)

    def release(self) -> None:
        """Do nothing: it holds nothing."""


def open_clip() -> Any:
    """Open the clip at its beginning, as something that answers as `cv2.VideoCapture` does."""
    return ClipCapture()
