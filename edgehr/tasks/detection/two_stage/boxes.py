"""Boxes: anchors and their deltas, which of many are the surest, and which overlap. All xyxy, float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
MAX_LOG_RATIO = abs(float(np.log(16 / 1000)))  # of a side and the side it is made of; Faster R-CNN's


def make_anchors(stride: int, rows: int, columns: int, scale: float, ratios: Sequence[float]) -> Floats:
    """Make the anchors of a level: at each cell's upper left corner, one a ratio of height to width.

    Args:
        stride: Of the level, pixels.
        rows: Cells of the level.
        columns: Cells of the level.
        scale: Side of a square anchor, in strides.
        ratios: Heights over widths; anchors of all have the same area.

    Returns:
        (rows * columns * ratios, 4) pixels, row by row.
    """
    heights = np.sqrt(np.array(ratios, np.float64))
    half = np.stack([1 / heights, heights], axis=1) * (stride * scale / 2)
    base = np.concatenate([-half, half], axis=1)
    y, x = np.mgrid[:rows, :columns] * stride
    corners = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    anchors: Floats = (corners + base).reshape(-1, 4).astype(np.float32)
    return anchors


def apply_deltas(boxes: Floats, deltas: Floats, stds: Sequence[float], size: tuple[float, float]) -> Floats:
    """Move and resize boxes, and clip them to a picture.

    Args:
        boxes: (N, 4).
        deltas: (N, 4) shifts of the center in widths and heights, and logarithms of ratios of sides, over `stds`.
        stds: What deltas were divided by in training.
        size: Height and width of the picture, in pixels of the boxes.

    Returns:
        (N, 4).
    """
    height, width = size
    deltas = deltas.astype(np.float32) * np.array(stds, np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    center = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5) + sides * deltas[:, :2]
    half = sides * np.exp(np.clip(deltas[:, 2:], -MAX_LOG_RATIO, MAX_LOG_RATIO)) * np.float32(0.5)
    moved = np.concatenate([center - half, center + half], axis=1)
    clipped: Floats = np.clip(moved, 0, np.array([width, height, width, height], np.float32))
    return clipped


def suppress(boxes: Floats, scores: Floats, iou_threshold: float) -> NDArray[np.intp]:
    """Drop every box that overlaps a surer one that stays (greedy non-maximum suppression).

    Args:
        boxes: (N, 4). Boxes without area overlap nothing.
        scores: (N,).
        iou_threshold: Boxes with a larger intersection over union are dropped.

    Returns:
        Indices of those that stay, the surest first.
    """
    order = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    areas = (x2 - x1) * (y2 - y1)
    left = np.arange(len(order))
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        width = np.minimum(x2[first], x2[left]) - np.maximum(x1[first], x1[left])
        height = np.minimum(y2[first], y2[left]) - np.maximum(y1[first], y1[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        # Not a quotient: two boxes without area have nothing to divide by.
        left = left[shared <= np.float32(iou_threshold) * (areas[first] + areas[left] - shared)]
    return order[kept]


def suppress_by_group(
    boxes: Floats, scores: Floats, groups: NDArray[np.int64], iou_threshold: float, most: int | None = None
) -> NDArray[np.intp]:
    """Do the same among the boxes of each group: a class, or a level of the pyramid.

    Args:
        boxes: (N, 4).
        scores: (N,).
        groups: (N,).
        iou_threshold: See `suppress`.
        most: How many may stay.

    Returns:
        Indices of those that stay, the surest first.
    """
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    kept = [index[suppress(boxes[index], scores[index], iou_threshold)] for index in members]
    index = np.concatenate([*kept, np.zeros(0, np.intp)])
    return index[np.argsort(-scores[index], kind="stable")[:most]]


def surest_by_group(scores: Floats, groups: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Pick the surest of each group, a level of the pyramid for example.

    Args:
        scores: (N,), or logits.
        groups: (N,).
        most: How many of a group are picked.

    Returns:
        Indices, group by group.
    """
    picked = [np.zeros(0, np.intp)]
    for group in np.unique(groups):
        index = np.flatnonzero(groups == group)
        picked.append(index[np.argpartition(-scores[index], most - 1)[:most]] if len(index) > most else index)
    return np.concatenate(picked)


def sigmoid(logits: NDArray[Any]) -> Floats:
    """Turn logits into probabilities."""
    with np.errstate(over="ignore"):  # of the exponential, which becomes infinite and the probability 0
        probabilities: Floats = np.reciprocal(1 + np.exp(-logits.astype(np.float32)), dtype=np.float32)
    return probabilities
