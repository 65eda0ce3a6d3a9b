"""Which crops are chosen of many."""

from __future__ import annotations

import numpy as np
import pytest

from edgehr.calib.dataset.selection import MIN_DISTANCE, describe_crops, select_diverse
from tests.calib.pictures import picture


def points(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


def same_turn(count: int) -> np.ndarray:
    return np.zeros(count, np.int64)


def test_the_most_ordinary_comes_first_and_then_the_farthest() -> None:
    corners = points((0, 0), (1, 1), (0.5, 0.45), (0, 0.9), (0.6, 0.6))
    assert select_diverse(corners, same_turn(5), 4) == [2, 1, 0, 3]


def test_every_candidate_is_near_a_chosen_one() -> None:
    cloud = np.random.default_rng(0).random((500, 2)).astype(np.float32)
    chosen = select_diverse(cloud, same_turn(500), 40)
    assert len(set(chosen)) == 40
    distances = np.linalg.norm(cloud[:, None] - cloud[chosen][None], axis=2)
    between = np.linalg.norm(cloud[chosen][:, None] - cloud[chosen][None], axis=2) + np.eye(40) * 9
    # Farthest points: what is left is nearer to a chosen one than any two chosen ones are to each other.
    assert distances.min(axis=1).max() <= between.min()


def test_lower_turns_go_first() -> None:
    spread = points((0, 0), (5, 5), (0.5, 0.5), (1, 1), (9, 9))
    turns = np.array([0, 1, 0, 0, 1])
    chosen = select_diverse(spread, turns, 5)
    assert set(chosen[:3]) == {0, 2, 3}
    assert set(chosen) == set(range(5))


def test_near_equal_ones_are_left_out() -> None:
    pairs = points((0, 0), (MIN_DISTANCE / 2, 0), (1, 1), (1, 1), (2, 0))
    assert len(select_diverse(pairs, same_turn(5), 5)) == 3
    assert select_diverse(points(), same_turn(0), 5) == []


def test_the_same_candidates_give_the_same_choice() -> None:
    cloud = np.random.default_rng(1).random((300, 20)).astype(np.float32)
    turns = np.arange(300) % 3
    assert select_diverse(cloud, turns, 100) == select_diverse(cloud.copy(), turns.copy(), 100)


def test_distance_is_how_unlike_the_pictures_are() -> None:
    box = np.array([[40, 20, 200, 230]], np.float32)
    image = picture(0)
    (here,) = describe_crops(image, box)
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    (noisy,) = describe_crops(np.clip(image + noise, 0, 255).astype(np.uint8), box)
    (brighter,) = describe_crops(np.clip(image.astype(int) + 51, 0, 255).astype(np.uint8), box)
    (other,) = describe_crops(picture(1), box)
    assert np.linalg.norm(here - noisy) < MIN_DISTANCE / 2
    assert 0.1 < np.linalg.norm(here - brighter) < 0.4
    assert np.linalg.norm(here - other) > 5 * MIN_DISTANCE


def test_a_reduced_image_is_described_as_the_whole_one() -> None:
    import cv2

    boxes = np.array([[40, 20, 200, 230], [0, 0, 320, 256]], np.float32)
    image = picture(3)
    reduced = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    assert describe_crops(reduced, boxes, 0.25) == pytest.approx(describe_crops(image, boxes), abs=0.02)
    assert describe_crops(image, boxes).shape == (2, 199)
