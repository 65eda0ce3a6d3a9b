"""Turn what box heads say of regions into detections: Faster R-CNN's, and the cascade's of several stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.detection.two_stage.boxes import Floats, apply_deltas, suppress_by_group

SCORE_THRESHOLD = 0.05
MAX_DETECTIONS = 100

# Maps regions (R, 4) to what the box head of a stage says: class logits (R, C + 1) and deltas (R, 4) or (R, 4 C).
BoxHead = Callable[[int, Floats], tuple[Floats, Floats]]


def refine(
    proposals: Floats, heads: BoxHead, stds: Sequence[Sequence[float]], size: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    """Run the stages of a cascade, each on the boxes of the one before.

    Cai and Vasconcelos: Cascade R-CNN, 2018; as mmdetection has it, whose score is that of the mean of all logits. A
    detector of one stage is a cascade of one.

    Args:
        proposals: (R, 4) xyxy, input pixels.
        heads: Is called with the number of a stage and its boxes.
        stds: Of the deltas of each stage.
        size: Height and width of the picture in the input, pixels.

    Returns:
        The last stage's boxes (R, 4) before they are moved, its deltas, and the mean logits (R, C + 1).
    """
    boxes, logits, deltas = proposals, [], np.zeros((0, 4), np.float32)
    for stage in range(len(stds)):
        if stage:
            boxes = apply_deltas(boxes, deltas, stds[stage - 1], size)
        found, deltas = heads(stage, boxes)
        logits.append(found.astype(np.float32))
    mean: Floats = sum(logits[1:], logits[0]) / np.float32(len(logits))
    return boxes, deltas, mean


def choose_detections(
    boxes: Floats,
    deltas: Floats,
    logits: Floats,
    stds: Sequence[float],
    size: tuple[float, float],
    *,
    threshold: float = SCORE_THRESHOLD,
    nms: float = 0.5,
    wanted: NDArray[np.int64] | None = None,
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Choose detections among all classes of all regions.

    Args:
        boxes: (R, 4) xyxy, input pixels.
        deltas: (R, 4), or (R, 4 C) for a box of each class.
        logits: (R, C + 1), the background last.
        stds: Of the deltas.
        size: Height and width of the picture in the input, pixels.
        threshold: A class must be more likely than this.
        nms: Of two boxes of a class that overlap by more, the less likely is dropped.
        wanted: Ids of the classes to find; None for all.

    Returns:
        Boxes (N, 4), input pixels, scores (N,) and class ids (N,), the surest first; at most 100.
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities = (shifted / shifted.sum(axis=1, keepdims=True))[:, :-1]
    likely = probabilities > np.float32(threshold)
    if wanted is not None:
        likely &= np.isin(np.arange(probabilities.shape[1]), wanted)
    regions, classes = np.nonzero(likely)
    per_class = deltas.reshape(len(deltas), deltas.shape[1] // 4, 4)
    own = per_class[regions, classes if per_class.shape[1] > 1 else 0]
    moved, scores = apply_deltas(boxes[regions], own, stds, size), probabilities[regions, classes]
    kept = suppress_by_group(moved, scores, classes, nms, MAX_DETECTIONS)
    return moved[kept], scores[kept], classes[kept]
