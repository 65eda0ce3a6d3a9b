"""Boxes, regions and masks of two-stage detectors against plain restatements, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest

from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import paste
from edgehr.tasks.detection.two_stage.boxes import apply_deltas, suppress, suppress_by_group
from edgehr.tasks.detection.two_stage.proposals import AnchorGrid, propose
from edgehr.tasks.detection.two_stage.regions import choose_detections
from edgehr.tasks.detection.two_stage.roi_align import levels_of, pool_regions, roi_align

rng = np.random.default_rng(0)


def random_boxes(count: int, size: float = 100) -> np.ndarray:
    corners = rng.uniform(0, size, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(0, size / 2, (count, 2))], axis=1).astype(np.float32)


def iou(one: np.ndarray, two: np.ndarray) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return shared / (sum(areas) - shared) if sum(areas) > shared else 0.0


def brute_force(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for number in np.argsort(-scores, kind="stable"):
        if all(iou(boxes[number].astype(float), boxes[other].astype(float)) <= threshold for other in kept):
            kept.append(int(number))
    return kept


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_suppression_is_that_of_brute_force(threshold: float) -> None:
    for count in (1, 2, 50, 300):
        boxes, scores = random_boxes(count), rng.random(count).astype(np.float32)
        assert suppress(boxes, scores, threshold).tolist() == brute_force(boxes, scores, threshold)
        groups = rng.integers(0, 4, count)
        wanted = [
            np.flatnonzero(groups == g)[brute_force(boxes[groups == g], scores[groups == g], threshold)]
            for g in range(4)
        ]
        kept = suppress_by_group(boxes, scores, groups, threshold)
        assert sorted(kept) == sorted(np.concatenate(wanted))
        assert (np.diff(scores[kept]) <= 0).all()
        assert suppress_by_group(boxes, scores, groups, threshold, most=3).tolist() == kept[:3].tolist()


def test_nothing_to_suppress() -> None:
    none = np.zeros((0, 4), np.float32)
    assert len(suppress(none, np.zeros(0, np.float32), 0.5)) == 0
    assert len(suppress_by_group(none, np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5)) == 0
    flat = np.array([[5, 5, 5, 9], [5, 5, 5, 9]], np.float32)  # without area they overlap nothing, not even each other
    assert suppress(flat, np.array([0.4, 0.9], np.float32), 0.5).tolist() == [1, 0]


def sampled(features: np.ndarray, box: np.ndarray, scale: float, size: int) -> np.ndarray:
    """RoIAlign sample by sample."""
    height, width, channels = features.shape
    x1, y1, x2, y2 = box * scale - 0.5
    across, down = (x2 - x1) / size, (y2 - y1) / size
    columns, rows = int(np.ceil(across)), int(np.ceil(down))
    pooled = np.zeros((size, size, channels))
    for row, column, i, j in np.ndindex(size, size, max(rows, 0), max(columns, 0)):
        y, x = y1 + (row + (i + 0.5) / rows) * down, x1 + (column + (j + 0.5) / columns) * across
        if not (-1 <= y <= height and -1 <= x <= width):
            continue
        y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
        top, left = min(int(y), height - 2), min(int(x), width - 2)
        v, u = y - top, x - left
        pooled[row, column] += (
            features[top, left] * (1 - v) * (1 - u)
            + features[top, left + 1] * (1 - v) * u
            + features[top + 1, left] * v * (1 - u)
            + features[top + 1, left + 1] * v * u
        )
    return pooled / max(rows * columns, 1)


def test_features_of_regions_are_those_sample_by_sample() -> None:
    features = rng.standard_normal((20, 30, 3)).astype(np.float32)
    boxes = np.array(
        [[10, 10, 80, 90], [0, 0, 240, 160], [3, 5, 4, 6], [0, 70, 239, 72], [-50, -50, 20, 20], [200, 100, 400, 300],
         [500, 500, 600, 600], [10, 10, 10, 50]],
        np.float32,
    )  # fmt: skip
    found = roi_align(features, boxes, 1 / 8, 7)
    wanted = np.stack([sampled(features, box.astype(float), 1 / 8, 7) for box in boxes])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert not found[-2:].any()
    assert roi_align(features, boxes[:0], 1 / 8, 7).shape == (0, 7, 7, 3)


def test_each_region_is_pooled_from_its_level() -> None:
    boxes = np.array([[0, 0, 111, 111], [0, 0, 112, 112], [0, 0, 224, 224], [0, 0, 500, 900], [0, 0, 0, 9]], np.float32)
    assert levels_of(boxes, 4).tolist() == [0, 1, 2, 3, 0]
    pyramid = [np.full((64 >> level, 64 >> level, 1), level + 1, np.float32) for level in range(4)]
    pooled = pool_regions(pyramid, (4, 8, 16, 32), np.clip(boxes, 0, 250), 7)
    assert [float(each.max().round(4)) for each in pooled] == [1, 2, 3, 3, 0]


def test_nothing_found_is_an_empty_result() -> None:
    anchors = AnchorGrid.of((4, 8), ((4, 4), (2, 2)), 8, (0.5, 1, 2))
    outside = np.tile(np.float32([-100, -100, 0, 0]), (60, 1))  # moves every box out of the picture
    boxes, scores = propose(np.zeros(60, np.float32), outside, anchors, (16, 16), 100)
    assert boxes.shape == (0, 4)
    assert len(scores) == 0
    logits = np.zeros((0, 81), np.float32)
    for deltas in (np.zeros((0, 4), np.float32), np.zeros((0, 320), np.float32)):
        found = choose_detections(boxes, deltas, logits, (0.1, 0.1, 0.2, 0.2), (16, 16))
        assert [each.shape for each in found] == [(0, 4), (0,), (0,)]
    assert len(paste(np.zeros((0, 28, 28), np.float32), boxes, (10, 10))) == 0


def test_wild_deltas_stay_finite_and_inside() -> None:
    moved = apply_deltas(np.float32([[2, 2, 8, 8]]), np.float32([[1e6, -1e6, 1e6, 1e6]]), (1, 1, 1, 1), (10, 20))
    assert np.isfinite(moved).all()
    assert (moved >= 0).all()
    assert (moved <= [20, 10, 20, 10]).all()


def test_objects_without_area_are_dropped_with_their_masks() -> None:
    boxes = np.float32([[2, 3, 2, 8], [0, 0, 5, 5], [np.nan, 0, 5, 5], [4, 9, 9, 4], [1, 1, 2, 2]])
    masks = paste(np.ones((5, 28, 28), np.float32), np.nan_to_num(boxes), (12, 10))
    found = Detections(boxes, np.linspace(1, 0, 5, dtype=np.float32), np.arange(5), masks=masks).with_area()
    assert found.class_ids.tolist() == [1, 4]
    assert found.masks is not None
    assert found.masks.areas.tolist() == [25, 1]


def test_a_mask_of_a_large_picture_is_pasted_row_by_row() -> None:
    rising = np.tile(np.linspace(0, 1, 28, dtype=np.float32), (2, 28, 1))
    rising[1] = rising[1].T
    masks = paste(rising, np.float32([[0, 0, 999, 1500]] * 2), (1500, 1000))
    across, down = masks.full(0), masks.full(1)
    assert (across[40:-40] == across[700]).all()
    assert not across[700, :480].any()
    assert across[700, 520:960].all()
    assert not down[:720].any()
    assert down[780:1440, 500].all()


def test_masks_without_area_or_outside_are_empty() -> None:
    full = np.ones((3, 28, 28), np.float32)
    masks = paste(full, np.float32([[2, 3, 2, 8], [40, 40, 50, 50], [-4, -4, 6, 6]]), (12, 10))
    assert masks.areas.tolist() == [0, 0, 36]
    assert masks.full(2)[:6, :6].all()
    assert masks.full(2).sum() == 36
    assert masks[np.array([2])].areas.tolist() == [36]
