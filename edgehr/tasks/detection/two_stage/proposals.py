"""Proposals: the regions that a region proposal network would have looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.detection.two_stage.boxes import (
    Floats,
    apply_deltas,
    make_anchors,
    sigmoid,
    suppress_by_group,
    surest_by_group,
)

MAX_PER_LEVEL = 1000
IOU_THRESHOLD = 0.7


@dataclass(frozen=True)
class AnchorGrid:
    """The anchors of all levels, in the order of levels, rows, columns, ratios.

    Attributes:
        boxes: (A, 4) xyxy, input pixels.
        levels: (A,), 0 for the finest.
    """

    boxes: Floats
    levels: NDArray[np.int64]

    @classmethod
    def of(
        cls, strides: Sequence[int], shapes: Sequence[tuple[int, int]], scale: float, ratios: Sequence[float]
    ) -> AnchorGrid:
        """Make the anchors of levels of these strides and shapes (rows, columns); see `make_anchors`."""
        grids = [make_anchors(stride, *shape, scale, ratios) for stride, shape in zip(strides, shapes, strict=True)]
        return cls(np.concatenate(grids), np.repeat(np.arange(len(grids)), [len(grid) for grid in grids]))


def propose(
    objectness: Floats, deltas: Floats, anchors: AnchorGrid, size: tuple[float, float], max_proposals: int
) -> tuple[Floats, Floats]:
    """Choose regions by the outputs of a region proposal network, as Faster R-CNN does.

    The surest anchors of each level are moved; what overlaps a surer one of its level is dropped.

    Args:
        objectness: (A,) logits.
        deltas: (A, 4).
        anchors: The A anchors.
        size: Height and width of the picture in the input, pixels: boxes are clipped to it.
        max_proposals: How many to choose at most.

    Returns:
        Boxes (N, 4) xyxy, input pixels, and scores (N,), the surest first.
    """
    index = surest_by_group(objectness, anchors.levels, MAX_PER_LEVEL)
    scores = sigmoid(objectness[index])
    boxes = apply_deltas(anchors.boxes[index], deltas[index], (1, 1, 1, 1), size)
    whole = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    boxes, scores, levels = boxes[whole], scores[whole], anchors.levels[index[whole]]
    kept = suppress_by_group(boxes, scores, levels, IOU_THRESHOLD, max_proposals)
    return boxes[kept], scores[kept]
