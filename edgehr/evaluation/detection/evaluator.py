"""The evaluator of detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import BoxAnnotations, images_beside, listed_images
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.coco import coco_library
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.detection.agreement import THRESHOLD, DetectionAgreement, Matches, best_overlaps
from edgehr.evaluation.detection.ap import DetectionMetrics, detection_ap
from edgehr.evaluation.detection.masks import with_masks
from edgehr.evaluation.terms import Terms
from edgehr.tasks.coco import corner_and_size
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.tasks.detection.task import DetectionTask


class DetectionEvaluator(Evaluator):
    """Judges detectors on images with annotated objects, with the thresholds that their authors evaluate with.

    Args:
        card: A card of task ``detection``.
    """

    terms = Terms(
        metric="COCO box AP",
        points="AP",
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
        spec = card.spec_as(DetectionSpec)
        self._classes, self._draws_masks = spec.classes, spec.regions.masks

    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        """Read a COCO file of objects; classes are those that file and detector both know. See `Evaluator.read`.

        Masks are read too if the detector draws such.
        """
        if detections:
            raise EdgehrError(f"{detections}: {self.card.name} finds boxes itself: leave detections out")
        truth = BoxAnnotations.read(annotations)
        known = {number for number, name in truth.class_names.items() if name in self._classes}
        if not known:
            raise EdgehrError(f"{annotations}: {self.card.name} knows none of its categories")
        if self._draws_masks:
            truth = with_masks(truth, known)
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

    def score(self, dataset: Dataset, results: Sequence[Detections]) -> DetectionMetrics:
        """Compute COCO AP and AR over the categories that the detector knows, of masks too where both have them."""
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
        masks = truth.has_masks and all(found.masks is not None for found in results)
        return detection_ap(described, dataset.images, results, categories, masks=masks)

    def similarities(self, image: ImageSample, first: Detections, second: Detections) -> NDArray[np.float64]:
        """Find the overlap of the second detector's nearest box of its class for each object of the first."""
        return best_overlaps(first[first.scores >= THRESHOLD], second)

    def agreement(
        self,
        images: Sequence[ImageSample],
        first: Sequence[Detections],
        second: Sequence[Detections],
        *,
        with_metric: bool = True,
    ) -> DetectionAgreement:
        """Compare what two detectors found in the same images."""
        pairs = zip(images, first, second, strict=True)
        ious = np.concatenate([np.zeros(0), *(self.similarities(*each) for each in pairs)])
        truths = [each[each.scores >= THRESHOLD] for each in first]
        ap = self._ap(images, truths, second) if with_metric and len(ious) else None
        mean = float(ious.mean()) if len(ious) else float("nan")
        return DetectionAgreement(mean, len(ious), Matches.of(first, second), ap)

    def _ap(
        self, images: Sequence[ImageSample], truths: Sequence[Detections], results: Sequence[Detections]
    ) -> DetectionMetrics:
        entries = [entry for image, each in zip(images, truths, strict=True) for entry in _as_truth(image, each)]
        described = {
            "images": [_described(image, each) for image, each in zip(images, truths, strict=True)],
            "annotations": [{**entry, "id": number, "iscrowd": 0} for number, entry in enumerate(entries, 1)],
            "categories": [{"id": number, "name": name} for number, name in enumerate(self._classes)],
        }
        masks = all(found.masks is not None for found in (*truths, *results))
        numbers = {number: number for number in range(len(self._classes))}
        return detection_ap(described, images, results, numbers, masks=masks)


def _described(image: ImageSample, found: Detections) -> dict[str, Any]:
    """Describe an image as a COCO file does; masks tell its size, which they alone need."""
    height, width = (0, 0) if found.masks is None else found.masks.size
    return {"id": image.image_id, "height": height, "width": width}


def _as_truth(image: ImageSample, found: Detections) -> list[dict[str, Any]]:
    """Write detections as a COCO file has annotations."""
    boxes = corner_and_size(found.boxes)
    entries: list[dict[str, Any]] = [
        {"image_id": image.image_id, "category_id": class_id, "bbox": box, "area": box[2] * box[3]}
        for box, class_id in zip(boxes.tolist(), found.class_ids.tolist(), strict=True)
    ]
    if found.masks is None:
        return entries
    masks = found.masks.rle(compressed=True)
    return [{**entry, "segmentation": mask} for entry, mask in zip(entries, masks, strict=True)]
