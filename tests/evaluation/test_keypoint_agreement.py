"""Agreement of two models with each other: mean OKS, and AP with the one's predictions as truth."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.dataset import ImageSample
from edgehr.evaluation.keypoints.agreement import agreement, similarities
from edgehr.evaluation.keypoints.evaluator import KeypointEvaluator
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import KeypointSet, PoseSpec
from edgehr.zoo import get_card

CARD = get_card("litehrnet-18-coco-256x192")
SIGMAS = CARD.spec.keypoints.sigmas


def people(image_id: int, count: int, rng: np.random.Generator) -> tuple[ImageSample, Poses]:
    """People of different sizes, keypoints anywhere in their boxes, one in three of them not seen."""
    corner, sides = rng.uniform(0, 200, (count, 2)), rng.uniform(60, 150, (count, 2))
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    keypoints = (corner[:, None] + rng.uniform(0, 1, (count, 17, 2)) * sides[:, None]).astype(np.float32)
    scores = np.where(rng.uniform(size=(count, 17)) < 1 / 3, 0.1, 0.8).astype(np.float32)
    image = ImageSample.with_boxes(image_id, Path("none.jpg"), boxes)
    return replace(image, areas=(0.6 * image.areas).astype(np.float32)), Poses(boxes, keypoints, scores)


def moved(poses: Poses, by: Any) -> Poses:
    return replace(poses, keypoints=(poses.keypoints + by).astype(np.float32))


def oks_by_hand(one: Poses, two: Poses, areas: Any) -> list[float]:
    """COCO's formula, written out: the mean over labeled keypoints of exp(-d² / (2 s² k²)), k = 2 sigma, s² area."""
    found = []
    for person in range(len(one)):
        values = []
        for joint, sigma in enumerate(SIGMAS):
            if one.scores[person, joint] > 0.2:
                x, y = (float(v) for v in one.keypoints[person, joint] - two.keypoints[person, joint])
                values.append(math.exp(-(x * x + y * y) / (2 * float(areas[person]) * (2 * sigma) ** 2)))
        found.append(sum(values) / len(values))
    return found


def test_a_model_agrees_wholly_with_itself() -> None:
    rng = np.random.default_rng(0)
    images, poses = zip(*(people(number, 3, rng) for number in range(4)), strict=True)
    found = agreement(CARD, images, poses, poses)
    assert (found.oks, found.people, found.left_out) == (1.0, 12, 0)
    assert found.keypoints == sum((each.scores > 0.2).sum() for each in poses)
    assert found.ap is not None
    assert (found.ap.ap, found.ap.ar, found.ap.people, found.ap.images) == (1.0, 1.0, 12, 4)


def test_the_mean_oks_of_moved_keypoints_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(1)
    images, poses = zip(*(people(number, 5, rng) for number in range(3)), strict=True)
    others = [moved(each, rng.normal(0, 4, (5, 17, 2))) for each in poses]
    expected = [oks_by_hand(*three) for three in zip(poses, others, (image.areas for image in images), strict=True)]
    np.testing.assert_allclose(similarities(CARD, images[0], poses[0], others[0]), expected[0], rtol=1e-6)
    found = agreement(CARD, images, poses, others)
    assert found.oks == pytest.approx(np.mean(expected), rel=1e-6)
    assert 0.3 < found.oks < 0.95


def test_ap_counts_the_thresholds_that_every_pose_passes() -> None:
    """One person an image, each moved to an OKS of 0.82: right at the thresholds 0.50 to 0.80, wrong at three more."""
    rng = np.random.default_rng(2)
    images, poses = zip(*(people(number, 1, rng) for number in range(5)), strict=True)
    poses = tuple(replace(each, scores=np.full((1, 17), 0.8, np.float32)) for each in poses)
    others = []
    for image, each in zip(images, poses, strict=True):  # all keypoints by the same share of their own tolerance
        reach = np.sqrt(-2 * np.log(0.82) * image.areas[:, None] * (2 * np.array(SIGMAS)) ** 2)
        others.append(moved(each, np.stack([reach, np.zeros_like(reach)], axis=-1)))
    found = agreement(CARD, images, poses, others)
    assert found.oks == pytest.approx(0.82, abs=1e-5)
    assert found.ap is not None
    assert found.ap.ap == pytest.approx(0.7)
    assert (found.ap.ap50, found.ap.ap75) == (1.0, 1.0)


def test_what_the_reference_does_not_see_does_not_count() -> None:
    """Keypoints of a low score may lie anywhere, and so may people with no other keypoints."""
    rng = np.random.default_rng(3)
    image, poses = people(1, 3, rng)
    scores = poses.scores.copy()
    scores[2] = 0.2
    poses = replace(poses, scores=scores)
    other = moved(poses, np.where(scores[..., None] > 0.2, 0.0, 500.0))
    found = agreement(CARD, [image], [poses], [other])
    assert (found.oks, found.people, found.left_out) == (1.0, 2, 1)
    assert found.ap is not None
    assert (found.ap.ap, found.ap.people) == (1.0, 2)
    blind = replace(poses, scores=np.zeros((3, 17), np.float32))
    nobody = agreement(CARD, [image], [blind], [other])
    assert math.isnan(nobody.oks)
    assert (nobody.people, nobody.left_out, nobody.ap) == (0, 3, None)
    assert json.loads(json.dumps(nobody.to_dict(), allow_nan=False))["oks"] is None


def test_crowded_images_count_in_full() -> None:
    """COCO looks at 20 results an image; here neither model chose the boxes, so all of 30 are found."""
    image, poses = people(1, 30, np.random.default_rng(4))
    found = agreement(CARD, [image], [poses], [poses])
    assert found.ap is not None
    assert (found.ap.ap, found.ap.people) == (1.0, 30)


def test_other_keypoints_or_none_with_constants_are_refused() -> None:
    evaluator = KeypointEvaluator(CARD)
    evaluator.check_comparable(CARD.with_size(384, 288))
    with pytest.raises(EdgehrError, match="find other keypoints"):
        evaluator.check_comparable(get_card("hrnet-w32-mpii-256x256"))
    bare = replace(CARD, spec=PoseSpec(KeypointSet(CARD.spec.keypoints.names)))
    with pytest.raises(EdgehrError, match="no OKS constants"):
        KeypointEvaluator(bare).check_comparable(bare)
    with pytest.raises(EdgehrError, match="model for pose, yolox-nano-coco-416x416 for detection"):
        evaluator.check_comparable(get_card("yolox-nano-coco-416x416"))


def test_through_runtimes_with_the_annotated_areas(tmp_path: Path) -> None:
    """Two models that see every keypoint at another place of the heatmap, three of its pixels apart."""

    class Spot(Runtime):
        def __init__(self, column: int) -> None:
            float32 = np.dtype(np.float32)
            ends = TensorSpec("image", (1, 3, 256, 192), float32), TensorSpec("heatmaps", (1, 17, 64, 48), float32)
            super().__init__([ends[0]], [ends[1]])
            self.column = column

        def _infer(self, inputs: Tensors) -> dict[str, Any]:
            heatmaps = np.zeros((1, 17, 64, 48), np.float32)
            heatmaps[:, :, 30:33, self.column - 1 : self.column + 2] = 0.5
            heatmaps[:, :, 31, self.column] = 1
            return {"heatmaps": heatmaps}

    cv2.imwrite(str(tmp_path / "1.jpg"), np.zeros((300, 300, 3), np.uint8))
    # The window is 1.25 times the box, 240 pixels high: one heatmap pixel is 240 / 64 = 3.75 image pixels.
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [50, 50, 144, 192], "area": 9000.0}
    data = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 300, "height": 300}],
        "annotations": [{**person, "keypoints": [100, 100, 2] * 17}],
    }
    (tmp_path / "a.json").write_text(json.dumps(data))
    images = Annotations.read(tmp_path / "a.json").ground_truth(tmp_path)
    assert images[0].areas.tolist() == [9000]
    counted: list[int] = []
    evaluator = KeypointEvaluator(CARD)
    one, two = (evaluator.predict(Spot(column), images, progress=counted.append) for column in (20, 23))
    assert counted == [1, 1]
    distance = 3 * 240 / 64
    expected = np.mean(np.exp(-(distance**2) / (2 * 9000 * (2 * np.array(SIGMAS)) ** 2)))
    assert agreement(CARD, images, one, two).oks == pytest.approx(expected, rel=1e-3)
