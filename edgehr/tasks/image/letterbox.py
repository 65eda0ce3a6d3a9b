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
        scale: Input pixels per pixel of the picture.
    """

    width: int
    height: int
    scale: float

    @classmethod
    def of(cls, image: Image, height: int, width: int) -> Letterbox:
        """Fit a picture into an input of height x width pixels."""
        rows, columns = image.shape[:2]
        return cls(columns, rows, min(height / rows, width / columns))

    def resize(self, image: Image) -> Image:
        """Resize the picture, bilinear; the size is cut off, not rounded, as in YOLOX."""
        size = max(int(self.width * self.scale), 1), max(int(self.height * self.scale), 1)
        resized: Image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return resized

    def to_image(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Carry (N, 4) xyxy boxes from input pixels to the picture's, clipped to it."""
        limits = np.array([self.width, self.height] * 2, np.float32)
        result: NDArray[np.float32] = np.clip(boxes / np.float32(self.scale), 0, limits)
        return result
