"""Letterbox: a picture of any proportions in a network's input of fixed ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image


@dataclass(frozen=True)
class Letterbox:
    """How a picture was laid into the upper left of a network's input, with its proportions kept.

    Attributes:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        resized: Width and height of the picture in the input, pixels.
        scale: Input pixels per pixel of the picture, in x and in y.
    """

    width: int
    height: int
    resized: tuple[int, int]
    scale: tuple[float, float]

    @classmethod
    def of(
        cls, image: Image, height: int, width: int, *, within: tuple[int, int] = (0, 0), rounded: bool = False
    ) -> Letterbox:
        """Fit a picture into an input.

        Args:
            image: (H, W, 3).
            height: Of the input, pixels.
            width: Of the input, pixels.
            within: The most pixels of the picture's long and of its short side there; 0 for no such limit.
            rounded: Round the size, and scale x and y by what that gives, as mmdetection does; or else cut it off, and
                scale both alike, as YOLOX does.
        """
        rows, columns = image.shape[:2]
        factor = min(height / rows, width / columns)
        if any(within):
            factor = min(factor, within[0] / max(rows, columns), within[1] / min(rows, columns))
        size = max(int(columns * factor + rounded / 2), 1), max(int(rows * factor + rounded / 2), 1)
        return cls(columns, rows, size, (size[0] / columns, size[1] / rows) if rounded else (factor, factor))

    def resize(self, image: Image) -> Image:
        """Resize the picture, bilinear."""
        resized: Image = cv2.resize(image, self.resized, interpolation=cv2.INTER_LINEAR)
        return resized

    def to_image(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Carry (N, 4) xyxy boxes from input pixels to the picture's, clipped to it."""
        limits = np.array([self.width, self.height] * 2, np.float32)
        result: NDArray[np.float32] = np.clip(boxes / np.array(self.scale * 2, np.float32), 0, limits)
        return result
