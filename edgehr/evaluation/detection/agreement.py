"""How far two detectors find the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.evaluation.base import Agreement
from edgehr.evaluation.detection.ap import DetectionMetrics
from edgehr.plain_data import without_nan
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.image.boxes import overlaps

THRESHOLD = 0.4  # of the objects that are compared
MATCHING_IOU = 0.5


@dataclass(frozen=True)
class Matches:
    """Objects of two detectors that are the same: of one class, and with boxes that overlap by half or more.

    Each has one counterpart at most. The arrays are of M such pairs.

    Attributes:
        ious: (M,) overlap of the boxes, 0 to 1.
        score_differences: (M,) the second's score less the first's.
        mask_ious: (M,) overlap of the masks; empty where one of the detectors draws none.
        missed: Objects of the first, scored 0.4 or higher, without a counterpart, whatever the second scores it.
        added: Likewise of the second.
    """

    ious: NDArray[np.float64]
    score_differences: NDArray[np.float64]
    mask_ious: NDArray[np.float64]
    missed: int
    added: int

    @classmethod
    def of(cls, firsts: Sequence[Detections], seconds: Sequence[Detections]) -> Matches:
        """Match what two detectors found in the same images."""
        pairs: list[tuple[float, float]] = []
        mask_ious, missed, added = [], 0, 0
        for first, second in zip(firsts, seconds, strict=True):
            matched = match(first, second)
            sure = [(one, two) for one, two in matched if first.scores[one] >= THRESHOLD]
            for one, two in sure:
                iou = float(overlaps(first.boxes[[one]], second.boxes[[two]])[0, 0])
                pairs.append((iou, float(second.scores[two]) - float(first.scores[one])))
                if first.masks is not None and second.masks is not None and first.masks.size == second.masks.size:
                    mask_ious.append(first.masks.overlap(one, second.masks, two))
            missed += int((first.scores >= THRESHOLD).sum()) - len(sure)
            known = {two for _, two in matched}
            added += sum(number not in known for number in np.flatnonzero(second.scores >= THRESHOLD).tolist())
        table = np.array(pairs, np.float64).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1], np.array(mask_ious, np.float64), missed, added)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; None where there is nothing to say."""
        moved = np.abs(self.score_differences)
        figures = {
            "mean_iou": _mean(self.ious),
            "least_iou": float(self.ious.min(initial=1)) if len(self.ious) else float("nan"),
            "mean_score_difference": _mean(moved),
            "largest_score_difference": float(moved.max()) if len(moved) else float("nan"),
            "mean_mask_iou": _mean(self.mask_ious),
            "least_mask_iou": float(self.mask_ious.min()) if len(self.mask_ious) else float("nan"),
        }
        return {"pairs": len(self.ious), "missed": self.missed, "added": self.added, **without_nan(figures)}

    @property
    def rows(self) -> list[list[object]]:
        """Give rows to print."""
        total = len(self.ious) + self.missed
        found: list[list[object]] = [
            ["found by both", f"{len(self.ious)} of {total}", f"boxes of a class with IoU {MATCHING_IOU:g} or more"],
            ["found by B alone", self.added, f"objects that B scores {THRESHOLD:g} or higher"],
        ]
        if len(self.ious):
            moved = np.abs(self.score_differences)
            found += [
                ["IoU of these", f"{self.ious.mean():.4f}", f"the least {self.ious.min():.4f}"],
                ["score differences", f"{moved.mean():.4f}", f"the largest {moved.max():.4f}"],
            ]
        if len(self.mask_ious):
            found.append(["IoU of masks", f"{self.mask_ious.mean():.4f}", f"the least {self.mask_ious.min():.4f}"])
        return found


@dataclass(frozen=True)
class DetectionAgreement(Agreement):
    """Two detectors' agreement.

    Attributes:
        iou: Mean over the objects that the first detector finds of the overlap of the second's nearest box of that
            class, 0 to 1 (0 where it has none); NaN where the first finds nothing.
        objects: Objects compared: those that the first detector scores 0.4 or higher.
        matches: Those that the second finds too, and how far both are apart.
        ap: COCO AP of the second's objects with the first's taken as truth; None where it was not asked for.
    """

    iou: float
    objects: int
    matches: Matches
    ap: DetectionMetrics | None = None

    @property
    def similarity(self) -> float:
        """Return the mean overlap."""
        return self.iou

    @property
    def metric(self) -> DetectionMetrics | None:
        """Return AP with the first detector's objects as the truth."""
        return self.ap

    @property
    def rows(self) -> list[list[object]]:
        """Give the mean overlap, what both find and, where it was asked for, AP."""
        seen = f"{self.objects} objects that A scores {THRESHOLD:g} or higher"
        rows: list[list[object]] = [["mean IoU", f"{self.iou:.4f}", seen], *self.matches.rows]
        for kind, metric in (("AP", self.ap), ("mask AP", self.ap.masks if self.ap else None)):
            if metric is not None:
                rows.append([kind, f"{100 * metric.ap:.1f}", "COCO AP with A's objects as the truth"])
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        ap = None if self.ap is None else self.ap.to_dict()
        return {**without_nan({"iou": self.iou, "objects": self.objects}), "matches": self.matches.to_dict(), "ap": ap}


def match(first: Detections, second: Detections) -> list[tuple[int, int]]:
    """Give each object of the first, the surest first, the nearest object of the second that is still free.

    Returns:
        Pairs of numbers, in the order of the first's scores.
    """
    near = overlaps(first.boxes, second.boxes)
    near = np.where(first.class_ids[:, None] == second.class_ids[None], near, 0)
    pairs = []
    for one in np.argsort(-first.scores, kind="stable").tolist() if len(second) else ():
        two = int(near[one].argmax())
        if near[one, two] >= MATCHING_IOU:
            pairs.append((one, two))
            near[:, two] = 0
    return pairs


def best_overlaps(truth: Detections, others: Detections) -> NDArray[np.float64]:
    """Find the overlap of each object's nearest box of its class; 0 where there is none."""
    if not len(others):
        return np.zeros(len(truth))
    same = truth.class_ids[:, None] == others.class_ids[None]
    best: NDArray[np.float64] = (overlaps(truth.boxes, others.boxes) * same).max(axis=1).astype(np.float64)
    return best


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
