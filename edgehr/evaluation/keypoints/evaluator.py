"""The evaluator of pose models: COCO keypoint AP, and agreement by OKS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.coco import coco_library
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.keypoints.agreement import KeypointAgreement, agreement, similarities
from edgehr.evaluation.keypoints.ap import KeypointMetrics, as_results, keypoint_ap
from edgehr.evaluation.terms import Terms
from edgehr.tasks.pose.poses import KEYPOINT_THRESHOLD, Poses
from edgehr.tasks.pose.spec import PoseSpec

_SCORED = f"a score above {KEYPOINT_THRESHOLD:g}"


class KeypointEvaluator(Evaluator):
    """Judges pose models on people with annotated keypoints, in their annotated boxes or in detected ones.

    Args:
        card: A card of task ``pose``.
    """

    terms = Terms(
        metric="COCO keypoint AP",
        points="AP",
        similarity="OKS",
        similarity_meaning=f"OKS of its keypoints with the first's, those of {_SCORED}.",
        relative_meaning=f"COCO AP, the truth being the first's keypoints of {_SCORED}.",
        sample="person",
        samples="people",
        drawn=f"keypoints of {_SCORED}",
    )
    blindness = f"scores no keypoint above {KEYPOINT_THRESHOLD:g}"

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self._keypoints = card.spec_as(PoseSpec).keypoints

    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        """Read a COCO keypoint file; see `Evaluator.read`."""
        truth = Annotations.read(annotations)
        self.check_annotations(truth)
        if max_samples:
            truth = truth.first(max_samples)
        folder = images or truth.images_beside
        source = str(annotations)
        if detections:
            return Dataset(truth.detected(folder, detections), truth, source, f"detected ({detections})", detected=True)
        return Dataset(truth.ground_truth(folder), truth, source, "ground truth")

    def check_annotations(self, annotations: Annotations) -> None:
        """Refuse annotations that the model's keypoints cannot be compared with.

        Raises:
            EdgehrError: Another number or order of keypoints, or no OKS constants for them.
        """
        self._check_order(annotations)
        names = len(self._keypoints.names)
        if names != annotations.keypoints:
            raise EdgehrError(
                f"{self.card.name} returns {names} keypoints, but the people in {annotations.path} have "
                f"{annotations.keypoints}"
            )
        if not self._keypoints.sigmas:
            raise EdgehrError(
                f"{self.card.name}: its keypoints have no OKS constants, so COCO AP is not defined for them"
            )

    def _check_order(self, annotations: Annotations) -> None:
        """Refuse annotations whose keypoints have the names of the model's in another order."""
        ours, theirs = (
            [re.sub(r"\W|_", "", name.lower()) for name in names]
            for names in (self._keypoints.names, annotations.names)
        )
        if ours != theirs and sorted(ours) == sorted(theirs):
            place = next(place for place, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
            raise EdgehrError(
                f"{annotations.path}: its keypoints are in another order than those of {self.card.name}: number "
                f"{place + 1} is {annotations.names[place]}, not {self._keypoints.names[place]}"
            )

    @property
    def has_similarity(self) -> bool:
        """Tell whether the model's keypoints have OKS constants."""
        return bool(self._keypoints.sigmas)

    def check_comparable(self, other: ModelCard) -> None:
        """Refuse a model of another task, of other keypoints, or keypoints without OKS constants."""
        super().check_comparable(other)
        if self._keypoints.names != other.spec_as(PoseSpec).keypoints.names:
            raise EdgehrError(f"{self.card.name} and {other.name} find other keypoints: they cannot be compared")
        if not self._keypoints.sigmas:
            raise EdgehrError(
                f"{self.card.name}: its keypoints have no OKS constants, so agreement is not defined for them"
            )

    def check_installed(self) -> None:
        """Raise MissingDependencyError where faster-coco-eval is not installed."""
        coco_library()

    def score(self, dataset: Dataset, results: Sequence[Poses]) -> KeypointMetrics:
        """Compute COCO AP and AR; near-equal poses of detected boxes are dropped first."""
        truth: Annotations = dataset.truth
        listed: list[dict[str, Any]] = []
        for image, poses in zip(dataset.images, results, strict=True):
            listed += as_results(poses, self.card, image, truth.category, suppress=dataset.detected)
        return replace(keypoint_ap(truth.data, listed, self.card), images=len(dataset.images))

    def without(self, dataset: Dataset, left_out: Sequence[ImageSample]) -> Dataset:
        """Leave images out of the truth too; those without a detection stay in it, as what was missed."""
        numbers = {image.image_id for image in left_out}
        return replace(super().without(dataset, left_out), truth=dataset.truth.without(numbers))

    def of_crops(self, source: Path, images: Path | None, crops: Sequence[ImageSample]) -> Dataset | None:
        """Find each crop's person by image and box; see `Evaluator.of_crops`."""
        annotations = Annotations.read(source)
        if annotations.keypoints != len(self._keypoints.names):
            return None
        self._check_order(annotations)
        known, people = {}, annotations.people()
        for image in annotations.ground_truth(images or annotations.images_beside):
            for box, person in zip(image.boxes, people[image.image_id], strict=True):
                known[image.path, tuple(box.tolist())] = person
        found = [known.get((crop.path, tuple(crop.boxes[0].tolist()))) for crop in crops]
        truth = [
            {**person, "id": number + 1, "image_id": crop.image_id}
            for number, (crop, person) in enumerate(zip(crops, found, strict=True))
            if person
        ]
        if len(truth) < len(crops):
            return None
        samples = [
            replace(crop, areas=np.array([person["area"]], np.float32))
            for crop, person in zip(crops, truth, strict=True)
        ]
        category = int(truth[0]["category_id"])
        described = {
            "images": [{"id": crop.image_id} for crop in crops],
            "annotations": truth,
            "categories": [{"id": category, "name": "evaluated"}],
        }
        return Dataset(samples, replace(annotations, data=described), str(source), "ground truth")

    def similarities(self, image: ImageSample, first: Poses, second: Poses) -> NDArray[np.float64]:
        """Compute the OKS of the second model's poses with the first's, for each person of an image."""
        return similarities(self.card, image, first, second)

    def agreement(
        self,
        images: Sequence[ImageSample],
        first: Sequence[Poses],
        second: Sequence[Poses],
        *,
        with_metric: bool = True,
    ) -> KeypointAgreement:
        """Compare the poses that two models found in the same boxes."""
        return agreement(self.card, images, first, second, with_ap=with_metric)

    def draw_pair(
        self, image: ImageSample, number: int, first: Poses, second: Poses, colors: tuple[str, str]
    ) -> NDArray[np.uint8]:
        """Draw both skeletons of a person over each other."""
        from edgehr.evaluation.keypoints.pictures import draw_skeletons

        person = slice(number, number + 1)
        return draw_skeletons(image.read(), (first[person], second[person]), self._keypoints, colors)
