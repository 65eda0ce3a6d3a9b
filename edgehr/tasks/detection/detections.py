"""Detections: the result of the detection task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError


@dataclass(frozen=True)
class Detections:
    """N objects found in one image, the most certain first.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels, inside the image.
        scores: (N,) float32, 0 to 1 (certain).
        class_ids: (N,) int64, the number of each object's class; all 0 unless given.
        points: (N, P, 2) float32 x, y, image pixels: points of each object, for detectors that find such.

    Raises:
        TensorError: The shapes do not fit each other.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    points: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 2), np.float32))

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.boxes.shape != (len(self.scores), 4):
            raise TensorError(
                f"detections need boxes (N, 4) and scores (N,), got {self.boxes.shape} and {self.scores.shape}"
            )
        if not self.class_ids.size and len(self.scores):
            object.__setattr__(self, "class_ids", np.zeros(len(self.scores), np.int64))
        if self.class_ids.shape != self.scores.shape:
            raise TensorError(
                f"detections of {len(self.scores)} objects need as many class_ids, got {self.class_ids.shape}"
            )

        if len(self.scores) and not len(self.points):
            object.__setattr__(self, "points", np.zeros((len(self.scores), 0, 2), np.float32))
        if self.points.ndim != 3 or self.points.shape[::2] != (len(self.scores), 2):
            raise TensorError(
                f"detections of {len(self.scores)} objects need points (N, P, 2), got {self.points.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Detections:
        """Pick some of the objects."""
        return Detections(self.boxes[chosen], self.scores[chosen], self.class_ids[chosen], self.points[chosen])

    def surest(self, count: int | None = None) -> Detections:
        """Return the objects in the order of their scores, the most certain first; at most `count` of them."""
        return self[np.argsort(-self.scores, kind="stable")[:count]]

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types, rounded.

        Returns:
            ``objects``, each with ``box`` (x1, y1, x2, y2), ``score`` and ``class_id``, and ``points`` (x, y each)
            where the detector finds such.
        """
        columns = {
            "box": self.boxes.round(2).tolist(),
            "score": self.scores.round(4).tolist(),
            "class_id": self.class_ids.tolist(),
            **({"points": self.points.round(2).tolist()} if self.points.shape[1] else {}),
        }
        return {"objects": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}

    @classmethod
    def none(cls) -> Detections:
        """Return the result of an image in which nothing is found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
