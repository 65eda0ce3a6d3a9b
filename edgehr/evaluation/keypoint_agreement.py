"""How far two pose models agree on the same people, whatever the truth is.

The measure of a quantized model where the accuracy of the float one says little: the float model's own keypoints are
taken as the truth. Both models get the same boxes, and no mirrored image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import PeopleImage
from edgehr.evaluation.keypoint_ap import KEYPOINT_THRESHOLD, CocoMetrics, as_results, estimate, score
from edgehr.runtimes.base import Runtime
from edgehr.tasks import Poses
from edgehr.tasks.pose.oks import oks

_CATEGORY = 1
_COCO_MOST = 20


@dataclass(frozen=True)
class Agreement:
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
    ap: CocoMetrics | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN, which JSON lacks, becomes None."""
        oks = None if self.oks != self.oks else self.oks
        return {**vars(self), "oks": oks, "ap": None if self.ap is None else self.ap.to_dict()}


def check_comparable(first: ModelCard, second: ModelCard) -> None:
    """Refuse two models whose keypoints cannot be compared by OKS.

    Raises:
        EdgehrError: They are not for pose, have other keypoints, or keypoints without OKS constants.
    """
    for card in (first, second):
        if card.task != "pose":
            raise EdgehrError(f"{card.name} is a model for {card.task}: only pose models can be compared")
    if first.keypoints.names != second.keypoints.names:
        raise EdgehrError(f"{first.name} and {second.name} find other keypoints: they cannot be compared")
    if not first.keypoints.sigmas:
        raise EdgehrError(f"{first.name}: its keypoints have no OKS constants, so agreement is not defined for them")


def estimate_all(
    runtime: Runtime, card: ModelCard, images: Sequence[PeopleImage], progress: Callable[[int], None] | None = None
) -> list[Poses]:
    """The poses in the boxes of each image, decoded as the card says; `progress` gets each image's number of boxes."""
    found = []
    for image in images:
        found.append(estimate(runtime, card, image))
        if progress:
            progress(len(image.boxes))
    return found


def similarities(card: ModelCard, image: PeopleImage, first: Poses, second: Poses) -> NDArray[np.float64]:
    """OKS of the second model's poses with the first's, for each person of an image.

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
    result[known] = oks(one, two, areas, card.keypoints.sigmas, seen[known])
    return result


def agreement(
    card: ModelCard,
    images: Sequence[PeopleImage],
    first: Sequence[Poses],
    second: Sequence[Poses],
    *,
    with_ap: bool = True,
) -> Agreement:
    """Compare the poses that two models found in the same boxes.

    Args:
        card: The first model's card; see `check_comparable`.
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
    return Agreement(
        oks=float(np.concatenate([v[k] for v, k in zip(found, known, strict=True)]).mean()) if people else float("nan"),
        people=people,
        keypoints=int(sum((poses.scores > KEYPOINT_THRESHOLD).sum() for poses in first)),
        left_out=sum(len(each) for each in known) - people,
        ap=_ap(card, images, first, second, known) if with_ap and people else None,
    )


def _ap(
    card: ModelCard,
    images: Sequence[PeopleImage],
    first: Sequence[Poses],
    second: Sequence[Poses],
    known: Sequence[NDArray[np.bool_]],
) -> CocoMetrics:
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
    return score(described, results, card, most=max(_COCO_MOST, *(len(image.boxes) for image in images)))


def _as_annotations(image: PeopleImage, poses: Poses, before: int) -> list[dict[str, Any]]:
    """Poses as COCO annotations, numbered on from those before."""
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
