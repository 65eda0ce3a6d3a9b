from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.base import Task
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.task import PoseTask
from edgehr.zoo import get_card


@pytest.fixture
def card() -> ModelCard:
    return get_card("litehrnet-18-coco-256x192")


@pytest.fixture(scope="module")
def photograph() -> Any:
    return cv2.imread(str(photographs()[0]))


def test_crops_are_cut_normalized_and_ordered_as_the_card_says(card: ModelCard, photograph: Any) -> None:
    task = Task.for_card(card)
    # A box whose padded window is 192x256 input pixels one to one: no interpolation, so pixels can be compared.
    box = [200 - 96 / 1.25, 200 - 128 / 1.25, 200 + 96 / 1.25, 200 + 128 / 1.25]
    batch, _ = task.preprocess(photograph, [box])
    assert batch.shape == (1, 3, 256, 192)
    assert batch.dtype == np.float32
    crop = photograph[72:328, 104:296, ::-1].astype(np.float64)
    expected = (crop - card.input.mean) / card.input.std
    np.testing.assert_allclose(batch[0], expected.transpose(2, 0, 1), atol=1e-5)


def test_bgr_networks_get_bgr(card: ModelCard, photograph: Any) -> None:
    bgr = replace(card, input=replace(card.input, color="bgr", mean=(0, 0, 0), std=(1, 1, 1)))
    rgb = replace(card, input=replace(card.input, mean=(0, 0, 0), std=(1, 1, 1)))
    one, _ = PoseTask(bgr).preprocess(photograph, [10, 10, 200, 300])
    two, _ = PoseTask(rgb).preprocess(photograph, [10, 10, 200, 300])
    np.testing.assert_array_equal(one, two[:, ::-1])


def test_a_peak_comes_back_at_its_place_in_the_image(card: ModelCard, photograph: Any) -> None:
    for decoding in (card.spec.decoding, replace(card.spec.decoding, method="udp", warp="udp")):
        task = PoseTask(replace(card, spec=replace(card.spec, decoding=decoding)))
        _, context = task.preprocess(photograph, [[100, 50, 300, 450], [0, 0, 80, 40]])
        heatmaps = np.zeros((2, 17, 64, 48), np.float32)
        heatmaps[:, :, 32, 24] = 1
        poses = task.postprocess({"heatmaps": heatmaps}, context)
        assert poses.keypoints.shape == (2, 17, 2)
        step = context.windows.size / (48, 64)
        middle = np.array([[200, 250], [40, 20]])
        assert (np.abs(poses.keypoints[:, 0] - middle) <= step).all()
        assert (poses.scores == 1).all()


def test_no_boxes_give_no_poses(card: ModelCard, photograph: Any) -> None:
    task = PoseTask(card)
    batch, context = task.preprocess(photograph, [])
    assert batch.shape == (0, 3, 256, 192)
    poses = task.postprocess({"heatmaps": np.zeros((0, 17, 64, 48), np.float32)}, context)
    assert len(poses) == 0
    assert poses.keypoints.shape == (0, 17, 2)


def test_outputs_that_do_not_fit_are_refused(card: ModelCard, photograph: Any) -> None:
    task = PoseTask(card)
    _, context = task.preprocess(photograph, [10, 10, 50, 50])
    with pytest.raises(TensorError, match=r"must hold 1 items of 17 maps \(nchw\), got \(1, 5, 64, 48\)"):
        task.postprocess({"heatmaps": np.zeros((1, 5, 64, 48), np.float32)}, context)
    with pytest.raises(TensorError, match="returns 'heatmaps', got 'logits'"):
        task.postprocess({"logits": np.zeros((1, 17, 64, 48), np.float32)}, context)


def test_other_tasks_are_refused(card: ModelCard) -> None:
    with pytest.raises(EdgehrError, match="not for detection"):
        Task.for_card(replace(card, task="detection"))
    with pytest.raises(EdgehrError, match="unknown task 'posture': expected one of pose, detection"):
        Task.for_card(replace(card, task="posture"))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
def test_images_of_every_kind_become_bgr(shape: tuple[int, ...]) -> None:
    assert as_bgr(np.zeros(shape, np.uint8)).shape == (20, 30, 3)


@pytest.mark.parametrize(
    "image",
    [np.zeros((0, 0, 3), np.uint8), np.zeros((5, 5, 3)), np.zeros((5, 5, 2), np.uint8), np.zeros(5, np.uint8), None],
)
def test_other_images_are_refused(image: Any) -> None:
    with pytest.raises(TensorError, match="an image must"):
        as_bgr(image)


def test_poses_check_their_shapes() -> None:
    with pytest.raises(TensorError, match=r"got \(2, 4\), \(1, 17, 2\)"):
        Poses(np.zeros((2, 4), np.float32), np.zeros((1, 17, 2), np.float32), np.zeros((1, 17), np.float32))


def test_channels_last_gives_the_same_poses(card: ModelCard, photograph: Any) -> None:
    first, last = PoseTask(card), PoseTask(card.with_layout("nhwc"))
    boxes = [[10, 10, 50, 90], [30, 5, 60, 70]]
    batch, context = first.preprocess(photograph, boxes)
    other, other_context = last.preprocess(photograph, boxes)
    np.testing.assert_array_equal(other.transpose(0, 3, 1, 2), batch)
    np.testing.assert_array_equal(last.mirror(other).transpose(0, 3, 1, 2), first.mirror(batch))
    maps = np.random.default_rng(0).random((2, 17, 64, 48), dtype=np.float32)
    poses = first.postprocess({"heatmaps": maps}, context)
    same = last.postprocess({"heatmaps": maps.transpose(0, 2, 3, 1)}, other_context)
    np.testing.assert_array_equal(same.keypoints, poses.keypoints)
    merged = first.average_flipped({"heatmaps": maps}, {"heatmaps": maps[::-1]})["heatmaps"]
    swapped = {"heatmaps": maps.transpose(0, 2, 3, 1)}, {"heatmaps": maps[::-1].transpose(0, 2, 3, 1)}
    np.testing.assert_array_equal(last.average_flipped(*swapped)["heatmaps"].transpose(0, 3, 1, 2), merged)


def test_an_unknown_layout_is_refused(card: ModelCard) -> None:
    with pytest.raises(EdgehrError, match="layout must be one of nchw, nhwc"):
        card.with_layout("chwn")
