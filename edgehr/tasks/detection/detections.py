"""Detections: the result of the detection task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError
from edgehr.tasks.coco import category_ids, corner_and_size
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.result import TaskResult, best_score, supervision_library

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, repr=False)
class Detections(TaskResult):
    """N objects found in one image, the most certain first.

    Attributes:
        boxes: (N, 4) float32 xyxy, image pixels, inside the image.
        scores: (N,) float32, 0 to 1 (certain).
        class_ids: (N,) int64, the number of each object's class; all 0 unless given.
        points: (N, P, 2) float32 x, y, image pixels: points of each object, for detectors that find such.
        classes: Names of the classes, by number; none where nobody said.
        masks: The mask of each object, for detectors that draw such; None for the others.
        frame_number: See `TaskResult`, as for `time_s`.

    Raises:
        TensorError: The shapes do not fit each other, or a class has no name.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    points: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 2), np.float32))
    classes: tuple[str, ...] = ()
    masks: Masks | None = None

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
        if self.masks is not None and len(self.masks) != len(self):
            raise TensorError(f"detections of {len(self)} objects need as many masks, got {len(self.masks)}")
        if self.classes and len(self) and not 0 <= self.class_ids.min() <= self.class_ids.max() < len(self.classes):
            wrong = self.class_ids[(self.class_ids < 0) | (self.class_ids >= len(self.classes))][0]
            raise TensorError(f"an object is of class {wrong}, but {len(self.classes)} classes are named")

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        counts = Counter(self.names).most_common()
        found = [f"{count} {name}" for name, count in counts] or [f"{len(self)} object{'s' * (len(self) != 1)}"]
        masks = [] if self.masks is None else ["with masks"]
        return self._described(*found, *masks, *best_score(self.scores))

    @property
    def names(self) -> list[str]:
        """List the class of each object by its name; empty where classes have none."""
        return [self.classes[number] for number in self.class_ids] if self.classes else []

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Detections:
        """Pick some of the objects."""
        return replace(
            self,
            boxes=self.boxes[chosen],
            scores=self.scores[chosen],
            class_ids=self.class_ids[chosen],
            points=self.points[chosen],
            masks=None if self.masks is None else self.masks[chosen],
        )

    def surest(self, count: int | None = None) -> Detections:
        """Return the objects in the order of their scores, the most certain first; at most `count` of them."""
        return self[np.argsort(-self.scores, kind="stable")[:count]]

    def with_area(self) -> Detections:
        """Return the objects whose boxes have an area; those of boxes that are no numbers have none."""
        whole: NDArray[np.bool_] = np.asarray((self.boxes[:, 2:] > self.boxes[:, :2]).all(axis=1))
        return self[whole]

    def to_dict(self, *, masks: bool = True) -> dict[str, Any]:
        """Convert to plain JSON types, rounded.

        Args:
            masks: Add the mask of each object, where the detector draws such, as ``rle``: ``{"size": [height, width],
                "counts": [...]}``, COCO's lengths of runs of pixels outside and inside of it in turn, column by column.

        Returns:
            ``objects``, each with ``box`` (x1, y1, x2, y2), ``score``, ``class_id``, ``name`` where classes have one,
            ``points`` (x, y each) where the detector finds such, and ``rle``; before them, where they are known,
            ``frame`` and ``time_s`` (seconds).
        """
        columns = {
            "box": self.boxes.astype(float).round(2).tolist(),
            "score": self.scores.astype(float).round(4).tolist(),
            "class_id": self.class_ids.tolist(),
            **({"name": self.names} if self.classes else {}),
            **({"points": self.points.astype(float).round(2).tolist()} if self.points.shape[1] else {}),
            **({"rle": self.masks.rle()} if masks and self.masks is not None else {}),
        }
        objects = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return {**self._when(), "objects": objects}

    def to_rows(self) -> list[dict[str, Any]]:
        """Convert to flat rows, one an object, as ``pandas.DataFrame`` takes them.

        Returns:
            Rows of ``frame`` and ``time_s`` (seconds; both only where they are known), ``class_id``, ``name`` (where
            classes have one), ``score``, ``x1``, ``y1``, ``x2``, ``y2`` (image pixels), ``pixels`` (of the mask, where
            the detector draws such) and, of each point that the detector finds, ``point0_x``, ``point0_y`` and so on.
        """
        rows = []
        pixels = [{}] * len(self) if self.masks is None else [{"pixels": area} for area in self.masks.areas.tolist()]
        for found, area in zip(self.to_dict(masks=False)["objects"], pixels, strict=True):
            corners = dict(zip(("x1", "y1", "x2", "y2"), found.pop("box"), strict=True))
            points = [
                (f"point{number}_{axis}", value)
                for number, point in enumerate(found.pop("points", []))
                for axis, value in zip("xy", point, strict=True)
            ]
            rows.append({**self._when(), **found, **corners, **area, **dict(points)})
        return rows

    def to_coco(self, image_id: int, categories: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
        """Write as COCO results, one entry an object.

        Args:
            image_id: The image's id in the COCO file.
            categories: The category id of each class name there; None for COCO's own (person 1 to toothbrush 90).
                Classes without one are left out.

        Returns:
            Entries of ``image_id``, ``category_id``, ``bbox`` (x, y, width, height; image pixels), ``score`` and, where
            the detector draws masks, ``segmentation`` (compressed run-length encoding).

        Raises:
            EdgehrError: The classes have no names, or none has a category.
        """
        ids = category_ids(self.classes, categories)
        known = self[np.isin(self.class_ids, list(ids))]
        columns = {
            "category_id": [ids[number] for number in known.class_ids.tolist()],
            "bbox": corner_and_size(known.boxes).tolist(),
            "score": known.scores.tolist(),
            **({} if known.masks is None else {"segmentation": known.masks.rle(compressed=True)}),
        }
        rows = zip(*columns.values(), strict=True)
        return [{"image_id": image_id, **dict(zip(columns, row, strict=True))} for row in rows]

    def to_supervision(self) -> supervision.Detections:
        """Convert to ``supervision.Detections``, with ``class_name`` and ``points`` in ``data`` where there are such.

        Masks become an array of N full pictures there.

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        library = supervision_library()
        named = {"class_name": np.array(self.names, np.str_)} if self.classes else {}
        points = {"points": self.points} if self.points.shape[1] else {}
        masks = None
        if self.masks is not None:
            masks = np.zeros((len(self), *self.masks.size), np.bool_)
            for number, mask in enumerate(masks):
                mask[...] = self.masks.full(number)
        return library.Detections(
            xyxy=self.boxes, mask=masks, confidence=self.scores, class_id=self.class_ids, data={**named, **points}
        )

    @classmethod
    def none(cls) -> Detections:
        """Return the result of an image in which nothing is found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
