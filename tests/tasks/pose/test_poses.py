"""Poses as applications use them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import PoseSpec
from edgehr.tasks.pose.task import PoseTask
from edgehr.zoo import get_card

CARD = get_card("litehrnet-18-coco-256x192")
KEYPOINTS = CARD.spec_as(PoseSpec).keypoints
NAMES = KEYPOINTS.names


def people(count: int) -> Poses:
    keypoints = np.arange(count * 17 * 2, dtype=np.float32).reshape(count, 17, 2)
    scores = np.linspace(0, 1, count * 17, dtype=np.float32).reshape(count, 17)
    ids = np.arange(count, dtype=np.int64) - 1
    return Poses(np.ones((count, 4), np.float32), keypoints, scores, ids, KEYPOINTS)


def test_a_keypoint_by_its_name() -> None:
    poses = people(3)
    wrists = poses["left_wrist"]
    index = NAMES.index("left_wrist")
    assert (wrists.shape, wrists.dtype) == ((3, 3), np.float32)
    np.testing.assert_array_equal(wrists[:, :2], poses.keypoints[:, index])
    np.testing.assert_array_equal(wrists[:, 2], poses.scores[:, index])
    assert people(0)["nose"].shape == (0, 3)


def test_some_of_the_people_keep_their_names_and_ids() -> None:
    poses = people(3)
    for chosen in (slice(1, None), np.array([1, 2]), np.array([False, True, True])):
        some = poses[chosen]
        assert some.names == NAMES
        assert some.ids.tolist() == [0, 1]
        np.testing.assert_array_equal(some["nose"], poses["nose"][1:])


def test_names_that_are_not_there() -> None:
    with pytest.raises(EdgehrError, match="no keypoint 'tail': these poses have nose, left_eye"):
        people(1)["tail"]
    nameless = Poses(np.ones((1, 4), np.float32), np.ones((1, 5, 2), np.float32), np.ones((1, 5), np.float32))
    assert nameless.names == ()
    with pytest.raises(EdgehrError, match="no names"):
        nameless["nose"]
    with pytest.raises(TensorError, match="poses of 5 keypoints need as many names, got 17"):
        Poses(nameless.boxes, nameless.keypoints, nameless.scores, keypoint_set=KEYPOINTS)


def test_the_task_names_what_it_finds() -> None:
    task = PoseTask(CARD)
    for boxes in ([[0, 0, 50, 100]], np.zeros((0, 4))):
        batch, context = task.preprocess(np.zeros((100, 100, 3), np.uint8), boxes)
        heatmaps = np.zeros((len(batch), 17, 64, 48), np.float32)
        assert task.postprocess({"heatmaps": heatmaps}, context).keypoint_set == KEYPOINTS


def test_plain_types() -> None:
    record = people(2).to_dict()
    json.dumps(record, allow_nan=False)
    first, second = record["people"]
    assert (first["id"], second["id"]) == (None, 0)
    assert first["box"] == [1.0] * 4
    assert len(first["keypoints"]) == 17
    assert first["keypoints"][1] == [2.0, 3.0, 0.0303]
