"""Poses: the result of the pose task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError


@dataclass(frozen=True)
class Poses:
    """N people in one image, each with K keypoints.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels: the boxes that were asked for.
        keypoints: (N, K, 2) float32 x, y, image pixels.
        scores: (N, K) float32, the heatmaps' maxima: about 0 (not seen) to 1 (certain).

    Raises:
        TensorError: The shapes do not fit each other.
    """

    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        people, joints = self.scores.shape if self.scores.ndim == 2 else (-1, -1)
        if self.boxes.shape != (people, 4) or self.keypoints.shape != (people, joints, 2):
            raise TensorError(
                "poses need boxes (N, 4), keypoints (N, K, 2) and scores (N, K), "
                f"got {self.boxes.shape}, {self.keypoints.shape} and {self.scores.shape}"
            )

    def __len__(self) -> int:
        return len(self.boxes)
