"""COCO keypoint AP and AR of poses (the evaluation library is faster-coco-eval)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.evaluation.base import Metrics
from edgehr.evaluation.coco import run_coco
from edgehr.evaluation.dataset import ImageSample
from edgehr.tasks.image.boxes import Windows
from edgehr.tasks.pose.oks import oks_nms
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import PoseSpec


@dataclass(frozen=True)
class KeypointMetrics(Metrics):
    """COCO keypoint metrics, 0 to 1; NaN where nobody is of that size.

    Attributes:
        ap: Average precision over OKS 0.50 to 0.95.
        ap50: At OKS 0.50.
        ap75: At OKS 0.75.
        ap_medium: Of people with an area between 32² and 96² pixels.
        ap_large: Of larger people.
        ar: Average recall over OKS 0.50 to 0.95.
        people: Poses that were evaluated.
        images: Images they are in.
    """

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    people: int
    images: int

    @property
    def figures(self) -> dict[str, float]:
        """Give COCO's figures by name."""
        values = (self.ap, self.ap50, self.ap75, self.ap_medium, self.ap_large, self.ar)
        return dict(zip(("AP", "AP50", "AP75", "AP(M)", "AP(L)", "AR"), values, strict=True))

    @property
    def counted(self) -> str:
        """Say how many people were evaluated."""
        return f"{self.people} people in {self.images} images"


def as_results(
    poses: Poses, card: ModelCard, image: ImageSample, category: int, *, suppress: bool = False
) -> list[dict[str, Any]]:
    """Write the poses in the boxes of one image as COCO results.

    Args:
        poses: One a box.
        card: The model that found them.
        image: The image.
        category: The category to give them.
        suppress: Drop near-equal poses (for detected boxes, several of which may hold the same person).
    """
    scores: NDArray[np.float32] = poses.pose_scores * image.box_scores
    kept: Iterable[int] = range(len(poses))
    if suppress:
        spec = card.spec_as(PoseSpec)
        windows = Windows.from_boxes(poses.boxes, card.input.width / card.input.height, spec.padding)
        kept = oks_nms(poses.keypoints, windows.size.prod(axis=1), scores, spec.keypoints.sigmas)
    return [
        {
            "image_id": image.image_id,
            "category_id": category,
            "keypoints": np.column_stack([poses.keypoints[i], poses.scores[i]]).ravel().tolist(),
            "score": float(scores[i]),
        }
        for i in kept
    ]


def keypoint_ap(
    truth: dict[str, Any], results: list[dict[str, Any]], card: ModelCard, max_detections: int = 20
) -> KeypointMetrics:
    """Compute COCO AP and AR of results.

    Args:
        truth: `images`, `annotations` and `categories` of a COCO keypoint file.
        results: COCO keypoint results.
        card: The model, for the OKS constants of its keypoints.
        max_detections: Results of one image that count, the best; 20 is COCO's rule.

    Raises:
        MissingDependencyError: The evaluation library is not installed.
    """
    sigmas = np.array(card.spec_as(PoseSpec).keypoints.sigmas)
    figures = run_coco(truth, results, "keypoints", [max_detections], kpt_oks_sigmas=sigmas)
    ap, ap50, ap75, medium, large, ar = figures[:6]
    return KeypointMetrics(ap, ap50, ap75, medium, large, ar, len(results), len(truth["images"]))
