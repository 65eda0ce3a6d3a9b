"""COCO AP of boxes and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgehr.evaluation.base import Metrics
from edgehr.evaluation.coco import run_coco
from edgehr.evaluation.dataset import ImageSample
from edgehr.tasks.coco import corner_and_size
from edgehr.tasks.detection.detections import Detections

MAX_DETECTIONS = [1, 10, 100]


@dataclass(frozen=True)
class DetectionMetrics(Metrics):
    """COCO's metrics of boxes, 0 to 1; NaN where nothing is of that size.

    Attributes:
        ap: Average precision over IoU 0.50 to 0.95.
        ap50: At IoU 0.50.
        ap75: At IoU 0.75.
        ap_small: Of objects with an area below 32² pixels.
        ap_medium: Between that and 96² pixels.
        ap_large: Of larger objects.
        ar: Average recall over IoU 0.50 to 0.95 with 100 objects an image.
        detections: Objects that were evaluated.
        images: Images they are in.
        masks: The same of masks; None for a detector that draws none, or annotations that have none.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar: float
    detections: int
    images: int
    masks: DetectionMetrics | None = None

    @property
    def figures(self) -> dict[str, float]:
        """Give COCO's figures of boxes by name."""
        values = (self.ap, self.ap50, self.ap75, self.ap_small, self.ap_medium, self.ap_large, self.ar)
        return dict(zip(("AP", "AP50", "AP75", "AP(S)", "AP(M)", "AP(L)", "AR"), values, strict=True))

    @property
    def kinds(self) -> dict[str, dict[str, float]]:
        """Give the figures of boxes and, where there are such, of masks."""
        return super().kinds if self.masks is None else {"boxes": self.figures, "masks": self.masks.figures}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        figures = super().to_dict()
        return {**figures, "masks": None if self.masks is None else self.masks.to_dict()}

    @property
    def counted(self) -> str:
        """Say how many objects were evaluated."""
        return f"{self.detections} {'boxes' if self.masks is None else 'objects'} in {self.images} images"


def detection_ap(
    truth: dict[str, Any],
    images: Sequence[ImageSample],
    results: Sequence[Detections],
    categories: dict[int, int],
    *,
    masks: bool = False,
) -> DetectionMetrics:
    """Compute COCO's figures.

    Args:
        truth: `images`, `annotations` and `categories` of a COCO file, and where `masks` are asked for their
            `segmentation` in a form that COCO's evaluation takes.
        images: The images.
        results: What was found in each; with masks, where these are asked for.
        categories: The number in the truth of each class that counts.
        masks: Compute the figures of masks too.
    """
    boxed, outlined = [], []
    for image, result in zip(images, results, strict=True):
        found = result[np.isin(result.class_ids, list(categories))]
        entries = [
            {"image_id": image.image_id, "category_id": categories[class_id], "score": score}
            for class_id, score in zip(found.class_ids.tolist(), found.scores.tolist(), strict=True)
        ]
        boxes = corner_and_size(found.boxes).tolist()
        boxed += [{**entry, "bbox": box} for entry, box in zip(entries, boxes, strict=True)]
        if masks and found.masks is not None:  # without boxes, from which COCO's evaluation would take the areas
            drawn = found.masks.rle(compressed=True)
            outlined += [{**entry, "segmentation": mask} for entry, mask in zip(entries, drawn, strict=True)]
    figures = _figures(truth, boxed, "bbox", len(images))
    return replace(figures, masks=_figures(truth, outlined, "segm", len(images))) if masks else figures


def _figures(truth: dict[str, Any], rows: list[dict[str, Any]], kind: str, images: int) -> DetectionMetrics:
    ap, ap50, ap75, small, medium, large, _, _, ar = run_coco(truth, rows, kind, MAX_DETECTIONS)[:9]
    return DetectionMetrics(ap, ap50, ap75, small, medium, large, ar, len(rows), images)
