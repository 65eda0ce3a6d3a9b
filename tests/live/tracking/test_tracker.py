"""Identities and smoothing, on people who walk."""

from __future__ import annotations

import numpy as np
import pytest

from edgehr.live.tracking.boxes import keypoint_boxes
from edgehr.live.tracking.smoothing import OneEuroFilter
from edgehr.live.tracking.tracker import CONFIRMED_AFTER, MAX_AGE_S, Tracker
from edgehr.tasks.image.boxes import overlaps
from edgehr.tasks.pose.poses import Poses
from edgehr.zoo import get_card

SIGMAS = get_card("litehrnet-18-coco-256x192").spec.keypoints.sigmas
RANDOM = np.random.default_rng(3)
SHAPES = RANDOM.uniform(0, 1, (3, 17, 2)).astype(np.float32) * [60, 160]


def people(*corners: tuple[float, float], shapes: tuple[int, ...] = (0, 1, 2)) -> Poses:
    """One person of a shape of their own at each corner, 60x160 pixels."""
    points = np.stack([SHAPES[i] + corner for i, corner in zip(shapes, corners, strict=False)]).astype(np.float32)
    scores = np.full(points.shape[:2], 0.9, np.float32)
    boxes, _ = keypoint_boxes(Poses(np.zeros((len(points), 4), np.float32), points, scores), 2000, 2000)
    return Poses(boxes, points, scores)


def test_people_keep_their_numbers_whatever_their_order() -> None:
    tracker = Tracker(SIGMAS, smooth=False)
    assert tracker(people((10, 10), (300, 20)), 0.0).ids.tolist() == [1, 2]
    assert tracker(people((302, 22), (15, 12), shapes=(1, 0)), 0.04).ids.tolist() == [2, 1]
    assert tracker(people((20, 14), (304, 24), (600, 50)), 0.08).ids.tolist() == [1, 2, 3]


def test_two_who_pass_each_other_are_told_apart_by_their_keypoints() -> None:
    tracker = Tracker(SIGMAS, smooth=False)
    for step in range(41):
        found = tracker(people((100 + 4 * step, 50), (260 - 4 * step, 50)), step / 25)
        assert found.ids.tolist() == [1, 2], step


def test_a_second_pose_of_a_known_person_takes_no_number_away() -> None:
    """A detection of a part of somebody gives two poses in one frame, and in the next the new one alone is left."""
    tracker = Tracker(SIGMAS, smooth=False)
    for step in range(CONFIRMED_AFTER):
        assert tracker(people((100, 50)), step / 25).ids.tolist() == [1]
    for again in range(2 * CONFIRMED_AFTER):
        both = tracker(people((100, 50), (112, 62), shapes=(0, 0)), 0.2 + 0.08 * again)
        assert sorted(both.ids.tolist()) == [1, 2]
        assert tracker(people((112, 62)), 0.24 + 0.08 * again).ids.tolist() == [1]


def test_somebody_who_is_hidden_for_a_moment_keeps_the_number() -> None:
    tracker = Tracker(SIGMAS)
    tracker(people((10, 10)), 0.0)
    tracker(_nobody(), 0.4)
    assert tracker(people((14, 10)), 0.8).ids.tolist() == [1]
    tracker(_nobody(), 1.2)
    assert tracker(people((14, 10)), 0.8 + MAX_AGE_S + 0.1).ids.tolist() == [2]
    tracker.reset()
    assert tracker(people((14, 10)), 3.0).ids.tolist() == [3]


def test_a_slow_machine_knows_the_people_of_the_frame_before() -> None:
    tracker = Tracker(SIGMAS)
    for step in range(5):
        assert tracker(people((10 + 4 * step, 10), (300, 20)), 3 * MAX_AGE_S * step).ids.tolist() == [1, 2]


def _nobody() -> Poses:
    return Poses(np.zeros((0, 4), np.float32), np.zeros((0, 17, 2), np.float32), np.zeros((0, 17), np.float32))


def test_nobody_at_all() -> None:
    assert Tracker(SIGMAS)(_nobody(), 0.0).ids.shape == (0,)


def test_still_points_are_held_still_and_fast_ones_followed() -> None:
    still, noisy = OneEuroFilter(), []
    for frame in range(200):
        point = (100 + RANDOM.normal(0, 2, (1, 2))).astype(np.float32)
        noisy.append(still(point, frame / 30, 200))
    assert np.std(noisy[50:]) < 0.6 * 2
    fast = OneEuroFilter()
    for frame in range(60):
        point = np.array([[20.0 * frame, 0]], np.float32)  # three times the person's own size a second
        filtered = fast(point, frame / 30, 200)
    assert abs(filtered[0, 0] - point[0, 0]) < 20


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_frames_that_are_not_later_pass_unchanged(step: float) -> None:
    smooth = OneEuroFilter()
    smooth(np.zeros((1, 2), np.float32), 1.0, 100)
    np.testing.assert_array_equal(smooth(np.full((1, 2), 50, np.float32), 1.0 + step, 100), 50)


def test_overlaps_and_keypoint_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [100, 100, 110, 110]], np.float32)
    np.testing.assert_allclose(overlaps(boxes, boxes)[0], [1, 1 / 3, 0], rtol=1e-6)
    poses = people((10, 10))
    poses.scores[0, 3:] = 0.1
    _, found = keypoint_boxes(poses, 2000, 2000)
    assert not found[0]
    assert keypoint_boxes(_nobody(), 100, 100)[0].shape == (0, 4)
