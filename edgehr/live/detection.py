"""What finds the people whose poses are estimated."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from edgehr.tasks.detection.detections import Detections

__all__ = ["Detections", "Detector"]


class Detector(Protocol):
    """Finds people in one image."""

    def __call__(self, image: NDArray[Any]) -> Detections:
        """Find people.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).

        Returns:
            Their boxes in image pixels.
        """
