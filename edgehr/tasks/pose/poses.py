"""Poses: the result of the pose task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.pose.spec import KeypointSet

if TYPE_CHECKING:
    from typing import Self

NAMELESS = KeypointSet(())


@dataclass(frozen=True)
class Poses:
    """N people in one image, each with K keypoints.

    ``poses["left_wrist"]`` is that keypoint of everybody, ``poses[:3]`` or ``poses[poses.scores.mean(axis=1) > 0.5]``
    are the poses of some of the people.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels: the boxes that were asked for.
        keypoints: (N, K, 2) float32 x, y, image pixels.
        scores: (N, K) float32, the heatmaps' maxima: about 0 (not seen) to 1 (certain).
        ids: (N,) int64, the same number for the same person from frame to frame; -1 where nobody is followed.
        keypoint_set: What the K keypoints are called and which are joined; without names where nobody said.

    Raises:
        TensorError: The shapes do not fit each other.
    """

    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    keypoint_set: KeypointSet = NAMELESS

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
        if self.names and len(self.names) != joints:
            raise TensorError(f"poses of {joints} keypoints need as many names, got {len(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """List what the K keypoints are called, in their order."""
        return self.keypoint_set.names

    def __len__(self) -> int:
        return len(self.boxes)

    @overload
    def __getitem__(self, chosen: str) -> NDArray[np.float32]: ...

    @overload
    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self: ...

    def __getitem__(self, chosen: str | NDArray[np.intp] | NDArray[np.bool_] | slice) -> NDArray[np.float32] | Self:
        """Pick a keypoint by its name, or some of the people.

        Args:
            chosen: The name of a keypoint; or a slice, indices or a mask of people.

        Returns:
            For a name (N, 3) float32: x and y in image pixels, and score, of everybody. Otherwise their poses.

        Raises:
            EdgehrError: No keypoint has this name; the message lists those there are.
        """
        if isinstance(chosen, str):
            if chosen not in self.names:
                raise EdgehrError(f"no keypoint {chosen!r}: these poses have {', '.join(self.names) or 'no names'}")
            index = self.names.index(chosen)
            return np.concatenate([self.keypoints[:, index], self.scores[:, index, None]], axis=1)
        return replace(
            self,
            boxes=self.boxes[chosen],
            keypoints=self.keypoints[chosen],
            scores=self.scores[chosen],
            ids=self.ids[chosen],
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types, rounded.

        Returns:
            ``people``, each with ``id`` (null where nobody is followed), ``box`` (x1, y1, x2, y2) and ``keypoints``
            (x, y, score each) in image pixels, in the order of `names`.
        """
        points, scores = self.keypoints.tolist(), self.scores.tolist()
        people = []
        for person, box in enumerate(self.boxes.tolist()):
            people.append(
                {
                    "id": int(self.ids[person]) if self.ids[person] >= 0 else None,
                    "box": [round(value, 2) for value in box],
                    "keypoints": [
                        [round(x, 2), round(y, 2), round(score, 4)]
                        for (x, y), score in zip(points[person], scores[person], strict=True)
                    ],
                }
            )
        return {"people": people}
