"""Poses: the result of the pose task."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        ids: (N,) int64, the same number for the same person from frame to frame; -1 where nobody is followed.

    Raises:
        TensorError: The shapes do not fit each other.
    """

    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        people, joints = self.scores.shape if self.scores.ndim == 2 else (-1, -1)
        if self.boxes.shape != (people, 4) or self.keypoints.shape != (people, joints, 2):
            raise TensorError(
                "poses need boxes (N, 4), keypoints (N, K, 2) and scores (N, K), "
                f"got {self.boxes.shape}, {self.keypoints.shape} and {self.scores.shape}"
            )

        if not self.ids.size and people:
            object.__setattr__(self, "ids", np.full(people, -1, np.int64))
        if self.ids.shape != (people,):
            raise TensorError(f"poses of {people} people need as many ids, got {self.ids.shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Poses:
        """The poses of some of the people."""
        return Poses(self.boxes[chosen], self.keypoints[chosen], self.scores[chosen], self.ids[chosen])
