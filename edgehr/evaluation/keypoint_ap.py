"""COCO keypoint AP and AR of a model on annotated images."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.evaluation.annotations import Annotations, PeopleImage
from edgehr.runtimes.base import Runtime
from edgehr.tasks import Poses, Task
from edgehr.tasks.image.boxes import Windows
from edgehr.tasks.image.reading import read_image
from edgehr.tasks.pose.oks import oks_nms

# mmpose's rule for the score of a pose: the box's score times the mean of its keypoint scores above this.
KEYPOINT_THRESHOLD = 0.2


@dataclass(frozen=True)
class CocoMetrics:
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

    def to_dict(self) -> dict[str, float | None]:
        """Plain JSON types; NaN, which JSON lacks, becomes None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def estimate(runtime: Runtime, card: ModelCard, image: PeopleImage, *, flip: bool = False) -> Poses:
    """Estimate the poses in the boxes of one image, with the mirrored image averaged in where `flip` is set."""
    task = Task.for_card(card)
    batch, context = task.preprocess(read_image(image.path), image.boxes)
    outputs: dict[str, NDArray[Any]] = runtime.infer_batch(batch)
    if flip:
        mirrored = runtime.infer_batch(task.mirror(batch))
        outputs = task.average_flipped(outputs, mirrored)
    return task.postprocess(outputs, context)


def predict(
    runtime: Runtime, card: ModelCard, image: PeopleImage, category: int, *, flip: bool = False, suppress: bool = False
) -> list[dict[str, Any]]:
    """Estimate the poses of one image and give them as COCO results.

    Args:
        runtime: The model.
        card: What it expects and returns.
        image: An image with boxes.
        category: The category to give them.
        flip: Average in the mirrored image.
        suppress: Drop near-equal poses (for detected boxes, several of which may hold the same person).
    """
    return as_results(estimate(runtime, card, image, flip=flip), card, image, category, suppress=suppress)


def as_results(
    poses: Poses, card: ModelCard, image: PeopleImage, category: int, *, suppress: bool = False
) -> list[dict[str, Any]]:
    """Give the poses in the boxes of one image as COCO results; arguments as for `predict`."""
    scores = _pose_scores(poses, image.box_scores)
    kept: Iterable[int] = range(len(poses))
    if suppress:
        windows = Windows.from_boxes(poses.boxes, card.input.width / card.input.height)
        kept = oks_nms(poses.keypoints, windows.size.prod(axis=1), scores, card.keypoints.sigmas)
    return [
        {
            "image_id": image.image_id,
            "category_id": category,
            "keypoints": np.column_stack([poses.keypoints[i], poses.scores[i]]).ravel().tolist(),
            "score": float(scores[i]),
        }
        for i in kept
    ]


def _pose_scores(poses: Poses, box_scores: NDArray[np.float32]) -> NDArray[np.float32]:
    seen = poses.scores > KEYPOINT_THRESHOLD
    means = (poses.scores * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    result: NDArray[np.float32] = means * box_scores
    return result


def check_annotations(card: ModelCard, annotations: Annotations) -> None:
    """Refuse annotations that a model's keypoints cannot be compared with.

    Raises:
        EdgehrError: Another number of keypoints, or no OKS constants for them.
    """
    names = len(card.keypoints.names)
    if names != annotations.keypoints:
        raise EdgehrError(
            f"{card.name} returns {names} keypoints, but the people in {annotations.path} have {annotations.keypoints}"
        )
    if not card.keypoints.sigmas:
        raise EdgehrError(f"{card.name}: its keypoints have no OKS constants, so COCO AP is not defined for them")


def evaluate(
    runtime: Runtime,
    card: ModelCard,
    annotations: Annotations,
    images: list[PeopleImage],
    *,
    flip: bool = False,
    suppress: bool = False,
    progress: Callable[[int], None] | None = None,
) -> CocoMetrics:
    """Compute COCO AP and AR (the evaluation library is faster-coco-eval).

    Args:
        runtime: The model.
        card: What it expects and returns.
        annotations: The truth.
        images: Its images with boxes, annotated or detected.
        flip: Average in the mirrored images.
        suppress: Drop near-equal poses, for detected boxes.
        progress: Called after each image with the number of boxes in it.

    Raises:
        EdgehrError: The annotations do not suit the model.
        MissingDependencyError: The evaluation library is not installed.
    """
    _library()  # its absence is said now, not after the work
    check_annotations(card, annotations)
    results: list[dict[str, Any]] = []
    for image in images:
        results += predict(runtime, card, image, annotations.category, flip=flip, suppress=suppress)
        if progress:
            progress(len(image.boxes))
    return replace(score(annotations.data, results, card), images=len(images))


def score(truth: dict[str, Any], results: list[dict[str, Any]], card: ModelCard, most: int = 20) -> CocoMetrics:
    """Compute COCO AP and AR of results.

    Args:
        truth: `images`, `annotations` and `categories` of a COCO keypoint file.
        results: COCO keypoint results.
        card: The model, for the OKS constants of its keypoints.
        most: Results of one image that count, the best; 20 is COCO's rule.

    Raises:
        MissingDependencyError: The evaluation library is not installed.
    """
    coco, evaluation = _library()
    with contextlib.redirect_stdout(io.StringIO()):  # the library prints its own table
        known = coco(copy.deepcopy(truth))
        sigmas = np.array(card.keypoints.sigmas)
        run = evaluation(known, known.loadRes(results), "keypoints", kpt_oks_sigmas=sigmas, print_function=_quiet)
        run.params.maxDets = [most]
        run.evaluate()
        run.accumulate()
        run.summarize()
    # The library gives -1 where there is nobody to find.
    figures = (float(value) if value >= 0 else float("nan") for value in run.stats[:6])
    ap, ap50, ap75, medium, large, ar = figures
    return CocoMetrics(ap, ap50, ap75, medium, large, ar, len(results), len(truth["images"]))


def _library() -> tuple[Any, Any]:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise MissingDependencyError("evaluation needs faster-coco-eval: pip install 'edgehr[eval]'") from None
    return COCO, COCOeval_faster


def _quiet(*_: object) -> None:
    """The evaluation library's printer."""
