"""Poses: the result of the pose task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.coco import PERSON_CATEGORY, corner_and_size
from edgehr.tasks.pose.spec import KeypointSet
from edgehr.tasks.result import TaskResult, best_score, supervision_library

if TYPE_CHECKING:
    from typing import Self

    import supervision

NAMELESS = KeypointSet(())
# mmpose's rule for the score of a pose: the mean of its keypoint scores above this.
KEYPOINT_THRESHOLD = 0.2


class Terms(NamedTuple):
    """How a result speaks of whom it found, one and several, and of their keypoints, in prose and as a key."""

    one: str
    several: str
    keypoint: str
    key: str


@dataclass(frozen=True, repr=False)
class Poses(TaskResult):
    """N people in one image, each with K keypoints.

    ``poses["left_wrist"]`` is that keypoint of everybody, ``poses[:3]`` or ``poses[poses.scores.mean(axis=1) > 0.5]``
    are the poses of some of the people.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels: the boxes that were asked for.
        keypoints: (N, K, 2) float32 x, y, image pixels.
        scores: (N, K) float32, the heatmaps' maxima: about 0 (not seen) to 1 (certain).
        ids: (N,) int64, the same number for the same person from frame to frame; -1 where nobody is followed.
        keypoint_set: What the K keypoints are called and which are joined; without names where nobody said.
        frame_number: See `TaskResult`, as for `time_s`.

    Raises:
        TensorError: The shapes do not fit each other.
    """

    terms: ClassVar[Terms] = Terms("person", "people", "keypoint", "keypoints")

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

    @property
    def pose_scores(self) -> NDArray[np.float32]:
        """Score each person as mmpose does, by the mean of the keypoint scores above 0.2: (N,) float32."""
        seen = self.scores > KEYPOINT_THRESHOLD
        means: NDArray[np.float32] = (self.scores * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        return means.astype(np.float32)

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        terms, joints = self.terms, self.scores.shape[1]
        found = f"{len(self)} {terms.one if len(self) == 1 else terms.several}"
        return self._described(found, f"{joints} {terms.keypoint}s", *best_score(self.pose_scores))

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
            (x, y, score each) in image pixels, in the order of `names`; before them, where they are known, ``frame``
            and ``time_s`` (seconds).
        """
        points, scores = self.keypoints.tolist(), self.scores.tolist()
        people = []
        for person, box in enumerate(self.boxes.tolist()):
            people.append(
                {
                    "id": int(self.ids[person]) if self.ids[person] >= 0 else None,
                    "box": [round(value, 2) for value in box],
                    self.terms.key: [
                        [round(x, 2), round(y, 2), round(score, 4)]
                        for (x, y), score in zip(points[person], scores[person], strict=True)
                    ],
                }
            )
        return {**self._when(), self.terms.several: people}

    def to_rows(self) -> list[dict[str, Any]]:
        """Convert to flat rows, one a keypoint of each person, as ``pandas.DataFrame`` takes them.

        Returns:
            Rows of ``frame`` and ``time_s`` (seconds; both only where they are known), ``person`` (from 0, in this
            result), ``id`` (None where nobody is followed), ``keypoint`` (its name, or its number where it has none),
            ``x``, ``y`` (image pixels) and ``score``.
        """
        names = self.names or tuple(map(str, range(self.scores.shape[1])))
        return [
            {
                **self._when(),
                self.terms.one: number,
                "id": person["id"],
                **dict(zip((self.terms.keypoint, "x", "y", "score"), (name, *point), strict=True)),
            }
            for number, person in enumerate(self.to_dict()[self.terms.several])
            for name, point in zip(names, person[self.terms.key], strict=True)
        ]

    def to_coco(self, image_id: int, category_id: int = PERSON_CATEGORY) -> list[dict[str, Any]]:
        """Write as COCO results, one entry a person.

        Args:
            image_id: The image's id in the COCO file.
            category_id: Their category there; 1 is COCO's person.

        Returns:
            Entries of ``image_id``, ``category_id``, ``keypoints`` (x, y, score of each in turn; image pixels),
            ``score`` (`pose_scores`) and ``bbox`` (x, y, width, height).
        """
        points = np.concatenate([self.keypoints, self.scores[..., None]], axis=2)
        points = points.reshape(len(self), 3 * points.shape[1])
        columns = zip(points.tolist(), self.pose_scores.tolist(), corner_and_size(self.boxes).tolist(), strict=True)
        return [
            {"image_id": image_id, "category_id": category_id, "keypoints": keypoints, "score": score, "bbox": box}
            for keypoints, score, box in columns
        ]

    def to_supervision(self) -> supervision.KeyPoints:
        """Convert to ``supervision.KeyPoints``, with all keypoints, however low their scores.

        ``class_id`` is 0. Where people are followed, ``data["tracker_id"]`` holds their ids.

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        library = supervision_library()
        followed = {"tracker_id": self.ids} if (self.ids >= 0).any() else {}
        return library.KeyPoints(
            xy=self.keypoints,
            class_id=np.zeros(len(self), np.int64),
            keypoint_confidence=self.scores,
            detection_confidence=self.pose_scores,
            data=followed,
        )
