"""The evaluator of detectors: COCO box AP, and agreement by overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import BoxAnnotations, images_beside, listed_images
from edgehr.evaluation.base import Agreement, Evaluator, Metrics, Terms
from edgehr.evaluation.coco import coco_library, run_coco
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.plain_data import without_nan
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.image.boxes import overlaps

THRESHOLD = 0.4  # of the first detector's objects, where two are compared
MAX_DETECTIONS = [1, 10, 100]


@dataclass(frozen=True)
class BoxMetrics(Metrics):
    """COCO box metrics, 0 to 1; NaN where nothing is of that size.

    Attributes:
        ap: Average precision over IoU 0.50 to 0.95.
        ap50: At IoU 0.50.
        ap75: At IoU 0.75.
        ap_small: Of objects with an area below 32² pixels.
        ap_medium: Between that and 96² pixels.
        ap_large: Of larger objects.
        ar: Average recall over IoU 0.50 to 0.95 with 100 boxes an image.
        detections: Boxes that were evaluated.
        images: Images they are in.
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

    @property
    def figures(self) -> dict[str, float]:
        """Give COCO's figures by name."""
        values = (self.ap, self.ap50, self.ap75, self.ap_small, self.ap_medium, self.ap_large, self.ar)
        return dict(zip(("AP", "AP50", "AP75", "AP(S)", "AP(M)", "AP(L)", "AR"), values, strict=True))

    @property
    def counted(self) -> str:
        """Say how many boxes were evaluated."""
        return f"{self.detections} boxes in {self.images} images"


@dataclass(frozen=True)
class BoxAgreement(Agreement):
    """Two detectors' agreement.

    Attributes:
        iou: Mean over the objects that the first detector finds of the overlap of the second's nearest box of that
            class, 0 to 1 (0 where it has none); NaN where the first finds nothing.
        objects: Objects compared: those that the first detector scores 0.4 or higher.
        ap: COCO AP of the second's boxes with the first's objects taken as truth; None where it was not asked for.
    """

    iou: float
    objects: int
    ap: BoxMetrics | None = None

    @property
    def similarity(self) -> float:
        """Return the mean overlap."""
        return self.iou

    @property
    def metric(self) -> BoxMetrics | None:
        """Return AP with the first detector's objects as the truth."""
        return self.ap

    @property
    def rows(self) -> list[list[object]]:
        """Give the mean overlap and, where it was asked for, AP."""
        seen = f"{self.objects} objects that A scores {THRESHOLD:g} or higher"
        rows: list[list[object]] = [["mean IoU", f"{self.iou:.4f}", seen]]
        if self.ap is not None:
            rows.append(["AP", f"{100 * self.ap.ap:.1f}", "COCO AP with A's objects as the truth"])
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        return {**without_nan(vars(self)), "ap": None if self.ap is None else self.ap.to_dict()}


class BoxEvaluator(Evaluator):
    """Judges detectors on images with annotated boxes, with the thresholds that their authors evaluate with.

    Args:
        card: A card of task ``detection``.
    """

    terms = Terms(
        metric="COCO box AP",
        similarity="IoU",
        similarity_meaning=f"IoU of its nearest box with each object that the first scores {THRESHOLD:g} or higher.",
        relative_meaning=f"COCO AP, the truth being the objects that the first scores {THRESHOLD:g} or higher.",
        sample="object",
        samples="objects",
    )

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        decoder = DetectionTask(card).decoder
        self.task = DetectionTask(card, decoder.evaluation_threshold, decoder.evaluation_nms)
        self._classes = card.spec_as(DetectionSpec).classes

    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        """Read a COCO file of boxes; classes are those that file and detector both know. See `Evaluator.read`."""
        if detections:
            raise EdgehrError(f"{detections}: {self.card.name} finds boxes itself: leave detections out")
        truth = BoxAnnotations.read(annotations)
        if not set(truth.class_names.values()) & set(self._classes):
            raise EdgehrError(f"{annotations}: {self.card.name} knows none of its categories")
        found = listed_images(truth.data["images"][: max_samples or None], images or images_beside(annotations))
        samples = [replace(ImageSample.with_boxes(number, path, []), size=size) for number, path, size in found]
        return Dataset(samples, truth, str(annotations))

    def check_comparable(self, other: ModelCard) -> None:
        """Refuse a model of another task or with other classes."""
        super().check_comparable(other)
        if self._classes != other.spec_as(DetectionSpec).classes:
            raise EdgehrError(f"{self.card.name} and {other.name} know other classes: they cannot be compared")

    def check_installed(self) -> None:
        """Raise MissingDependencyError where faster-coco-eval is not installed."""
        coco_library()

    def score(self, dataset: Dataset, results: Sequence[Detections]) -> BoxMetrics:
        """Compute COCO AP and AR over the categories that the detector knows."""
        truth: BoxAnnotations = dataset.truth
        categories = {self._classes.index(name): i for i, name in truth.class_names.items() if name in self._classes}
        known, numbers = set(categories.values()), {image.image_id for image in dataset.images}
        described = {
            "images": [image for image in truth.data["images"] if image["id"] in numbers],
            "annotations": [
                entry
                for entry in truth.data["annotations"]
                if entry["category_id"] in known and entry["image_id"] in numbers
            ],
            "categories": [category for category in truth.data["categories"] if category["id"] in known],
        }
        return _box_ap(described, dataset.images, results, categories)

    def similarities(self, image: ImageSample, first: Detections, second: Detections) -> NDArray[np.float64]:
        """Find the overlap of the second detector's nearest box of its class for each object of the first."""
        return _best_overlaps(first[first.scores >= THRESHOLD], second)

    def agreement(
        self,
        images: Sequence[ImageSample],
        first: Sequence[Detections],
        second: Sequence[Detections],
        *,
        with_metric: bool = True,
    ) -> BoxAgreement:
        """Compare what two detectors found in the same images."""
        pairs = zip(images, first, second, strict=True)
        ious = np.concatenate([np.zeros(0), *(self.similarities(*each) for each in pairs)])
        truths = [each[each.scores >= THRESHOLD] for each in first]
        ap = self._ap(images, truths, second) if with_metric and len(ious) else None
        return BoxAgreement(float(ious.mean()) if len(ious) else float("nan"), len(ious), ap)

    def _ap(
        self, images: Sequence[ImageSample], truths: Sequence[Detections], results: Sequence[Detections]
    ) -> BoxMetrics:
        rows = [row for image, each in zip(images, truths, strict=True) for row in _rows(image, each)]
        described = {
            "images": [{"id": image.image_id} for image in images],
            "annotations": [
                {**row, "id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
                for number, row in enumerate(rows, 1)
            ],
            "categories": [{"id": number, "name": name} for number, name in enumerate(self._classes)],
        }
        return _box_ap(described, images, results, {number: number for number in range(len(self._classes))})


def _box_ap(
    truth: dict[str, Any], images: Sequence[ImageSample], results: Sequence[Detections], categories: dict[int, int]
) -> BoxMetrics:
    """Compute COCO's figures; `categories` gives each class's number in the truth."""
    rows = [
        {**row, "category_id": categories[row["category_id"]]}
        for image, found in zip(images, results, strict=True)
        for row in _rows(image, found)
        if row["category_id"] in categories
    ]
    ap, ap50, ap75, small, medium, large, _, _, ar = run_coco(truth, rows, "bbox", MAX_DETECTIONS)[:9]
    return BoxMetrics(ap, ap50, ap75, small, medium, large, ar, len(rows), len(images))


def _rows(image: ImageSample, found: Detections) -> list[dict[str, Any]]:
    """Write detections as COCO results whose categories are the detector's classes."""
    boxes = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    columns = zip(boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True)
    return [
        {"image_id": image.image_id, "category_id": class_id, "bbox": box, "score": score}
        for box, score, class_id in columns
    ]


def _best_overlaps(truth: Detections, others: Detections) -> NDArray[np.float64]:
    """Find the overlap of each object's nearest box of its class; 0 where there is none."""
    if not len(others):
        return np.zeros(len(truth))
    same = truth.class_ids[:, None] == others.class_ids[None]
    best: NDArray[np.float64] = (overlaps(truth.boxes, others.boxes) * same).max(axis=1).astype(np.float64)
    return best
