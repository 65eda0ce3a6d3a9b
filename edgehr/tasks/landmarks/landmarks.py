"""Landmarks: the result of the landmarks task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.pose.poses import Poses


@dataclass(frozen=True)
class Landmarks(Poses):
    """N faces in one image, each with K landmarks.

    ``landmarks["chin"]`` is that landmark of every face, ``landmarks[:3]`` are the landmarks of some of the faces.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels: where was looked.
        keypoints: (N, K, 2) float32 x, y, image pixels: `points`.
        scores: (N, K) float32, the heatmaps' maxima: about 0 (not seen) to 1 (certain).
        ids: (N,) int64, the same number for the same face from frame to frame; -1 where nobody is followed.
        keypoint_set: What the K landmarks are called, and which make up a contour.
    """

    @property
    def points(self) -> NDArray[np.float32]:
        """Return the landmarks, (N, K, 2) float32 x, y, image pixels."""
        return self.keypoints

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types, rounded.

        Returns:
            ``faces``, each with ``id`` (null where nobody is followed), ``box`` (x1, y1, x2, y2) and ``points``
            (x, y, score each) in image pixels, in the order of `names`.
        """
        people = super().to_dict()["people"]
        return {"faces": [{"id": each["id"], "box": each["box"], "points": each["keypoints"]} for each in people]}
