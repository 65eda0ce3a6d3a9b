"""Landmarks: the result of the landmarks task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.pose.poses import Poses, Terms


@dataclass(frozen=True, repr=False)
class Landmarks(Poses):
    """N faces in one image, each with K landmarks.

    ``landmarks["chin"]`` is that landmark of every face, ``landmarks[:3]`` are the landmarks of some of the faces.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels: where was looked.
        keypoints: (N, K, 2) float32 x, y, image pixels: `points`.
        scores: (N, K) float32, the heatmaps' maxima: about 0 (not seen) to 1 (certain).
        ids: (N,) int64, the same number for the same face from frame to frame; -1 where nobody is followed.
        keypoint_set: What the K landmarks are called, and which make up a contour.
        frame_number: See `TaskResult`, as for `time_s`.

    Dictionaries have ``faces`` with ``points`` where those of `Poses` have ``people`` with ``keypoints``, and rows
    ``face`` and ``landmark`` for ``person`` and ``keypoint``.
    """

    terms: ClassVar[Terms] = Terms("face", "faces", "landmark", "points")

    @property
    def points(self) -> NDArray[np.float32]:
        """Return the landmarks, (N, K, 2) float32 x, y, image pixels."""
        return self.keypoints
