"""How far two pose models agree on the same people, whatever the truth is.

The measure of a quantized model where the accuracy of the float one says little: the float model's own keypoints are
taken as the truth. Both models get the same boxes, and no mirrored image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.evaluation.base import Agreement
from edgehr.evaluation.dataset import ImageSample
from edgehr.evaluation.keypoints.ap import KeypointMetrics, as_results, keypoint_ap
from edgehr.plain_data import without_nan
from edgehr.tasks.pose.oks import oks
from edgehr.tasks.pose.poses import KEYPOINT_THRESHOLD, Poses
from edgehr.tasks.pose.spec import PoseSpec

_CATEGORY = 1
_COCO_MAX_DETECTIONS = 20


@dataclass(frozen=True)
class KeypointAgreement(Agreement):
    """Two models' agreement on people.

    Attributes:
        oks: Mean over the people of the OKS of the second model's keypoints with the first's, 0 to 1; NaN where nobody
            is compared.
        people: People compared: those in whom the first model scores a keypoint above 0.2.
        keypoints: Those keypoints, which alone count.
        left_out: People in whom it scores none so high.
        ap: COCO AP of the second model's poses with the first's taken as truth; None where it was not asked for.
    """

    oks: float
    people: int
    keypoints: int
    left_out: int
    ap: KeypointMetrics | None = None

    @property
    def similarity(self) -> float:
        """Return the mean OKS."""
        return self.oks

    @property
    def metric(self) -> KeypointMetrics | None:
        """Return AP with the first model's keypoints as the truth."""
        return self.ap

    @property
    def rows(self) -> list[list[object]]:
        """Give the mean OKS and, where it was asked for, AP."""
        left = f"; {self.left_out} left out, in whom A sees none" if self.left_out else ""
        seen = f"{self.people} people, {self.keypoints} keypoints that A scores above {KEYPOINT_THRESHOLD:g}{left}"
        rows: list[list[object]] = [["mean OKS", f"{self.oks:.4f}", seen]]
        if self.ap is not None:
            rows.append(["AP", f"{100 * self.ap.ap:.1f}", "COCO AP with A's keypoints as the truth"])
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        return {**without_nan(vars(self)), "ap": None if self.ap is None else self.ap.to_dict()}


def similarities(card: ModelCard, image: ImageSample, first: Poses, second: Poses) -> NDArray[np.float64]:
    """Compute the OKS of the second model's poses with the first's, for each person of an image.

    As in COCO's keypoint evaluation, with the first model's keypoints of a score above 0.2 in the place of the labeled
    ones, the card's constants of the keypoints, and the person's annotated area; where the boxes are no annotations,
    the box's area, which is larger and so forgives more.

    Returns:
        (N,) 0 to 1; NaN for people in whom the first model sees no keypoint.
    """
    seen = first.scores > KEYPOINT_THRESHOLD
    known = seen.any(axis=1)
    result = np.full(len(first), np.nan)
    one, two, areas = first.keypoints[known], second.keypoints[known], image.areas[known]
    result[known] = oks(one, two, areas, card.spec_as(PoseSpec).keypoints.sigmas, seen[known])
    return result


def agreement(
    card: ModelCard,
    images: Sequence[ImageSample],
    first: Sequence[Poses],
    second: Sequence[Poses],
    *,
    with_ap: bool = True,
) -> KeypointAgreement:
    """Compare the poses that two models found in the same boxes.

    Args:
        card: The first model's card, whose keypoints have OKS constants.
        images: The images with their boxes.
        first: The reference's poses, image by image.
        second: The other's.
        with_ap: Compute COCO AP too. Its truth are the first model's keypoints with a score above 0.2, as labeled and
            visible, the others as not labeled. Every box counts in an image that holds more than COCO's 20, since
            neither model chose them; people in whom the first model sees nothing are left out on both sides.

    Raises:
        MissingDependencyError: AP is wanted and the evaluation library is not installed.
    """
    found = [similarities(card, *three) for three in zip(images, first, second, strict=True)]
    known = [~np.isnan(values) for values in found]
    people = int(sum(each.sum() for each in known))
    return KeypointAgreement(
        oks=float(np.concatenate([v[k] for v, k in zip(found, known, strict=True)]).mean()) if people else float("nan"),
        people=people,
        keypoints=int(sum((poses.scores > KEYPOINT_THRESHOLD).sum() for poses in first)),
        left_out=sum(len(each) for each in known) - people,
        ap=_ap(card, images, first, second, known) if with_ap and people else None,
    )


def _ap(
    card: ModelCard,
    images: Sequence[ImageSample],
    first: Sequence[Poses],
    second: Sequence[Poses],
    known: Sequence[NDArray[np.bool_]],
) -> KeypointMetrics:
    truth: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, one, two, chosen in zip(images, first, second, known, strict=True):
        people = image[chosen]
        truth += _as_annotations(people, one[chosen], len(truth))
        results += as_results(two[chosen], card, people, _CATEGORY)
    described = {
        "images": [{"id": image.image_id} for image in images],
        "annotations": truth,
        "categories": [{"id": _CATEGORY, "name": "evaluated"}],
    }
    largest = max(_COCO_MAX_DETECTIONS, *(len(image.boxes) for image in images))
    return keypoint_ap(described, results, card, max_detections=largest)


def _as_annotations(image: ImageSample, poses: Poses, before: int) -> list[dict[str, Any]]:
    """Write poses as COCO annotations, numbered on from those before."""
    seen = poses.scores > KEYPOINT_THRESHOLD
    points = np.where(seen[..., None], poses.keypoints, 0)
    labeled = np.concatenate([points, 2 * seen[..., None]], axis=-1)
    sizes = poses.boxes[:, 2:] - poses.boxes[:, :2]
    return [
        {
            "id": before + person + 1,
            "image_id": image.image_id,
            "category_id": _CATEGORY,
            "iscrowd": 0,
            "area": float(image.areas[person]),
            "bbox": [*poses.boxes[person, :2].tolist(), *sizes[person].tolist()],
            "keypoints": labeled[person].ravel().tolist(),
            "num_keypoints": int(seen[person].sum()),
        }
        for person in range(len(poses))
    ]
