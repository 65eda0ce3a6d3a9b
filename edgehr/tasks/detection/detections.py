"""Detections: the result of the detection task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError


@dataclass(frozen=True)
class Detections:
    """N people found in one image, the most certain first.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels, inside the image.
        scores: (N,) float32, 0 to 1 (certain).

    Raises:
        TensorError: The shapes do not fit each other.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.boxes.shape != (len(self.scores), 4):
            raise TensorError(
                f"detections need boxes (N, 4) and scores (N,), got {self.boxes.shape} and {self.scores.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> Detections:
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
