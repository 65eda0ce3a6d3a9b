import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.keypoints.evaluator import KeypointEvaluator
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.tasks.pose.oks import oks, oks_nms
from edgehr.zoo import get_card


def person(image: int, bbox: list[float], visible: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": 1,
        "bbox": bbox,
        "keypoints": [5, 5, visible] * 17,
        "id": 1,
        "area": 99,
        **more,
    }


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 80} for number in (1, 2)]
    people = [
        person(1, [10, 10, 20, 30]),
        person(1, [90, 70, 50, 50]),
        person(1, [0, 0, 10, 10], visible=0),
        person(2, [0, 0, 10, 10], iscrowd=1),
    ]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": people}))
    for image in images:
        cv2.imwrite(str(tmp_path / str(image["file_name"])), np.zeros((80, 100, 3), np.uint8))
    return tmp_path


def test_labeled_people_with_boxes_clipped_to_the_image(dataset: Path) -> None:
    (image,) = Annotations.read(dataset / "a.json").ground_truth(dataset)
    assert image.image_id == 1
    np.testing.assert_array_equal(image.boxes, [[10, 10, 30, 40], [90, 70, 100, 80]])
    assert (image.box_scores == 1).all()
    assert image.areas.tolist() == [99, 99]


def test_the_first_images_that_hold_so_many_people(dataset: Path) -> None:
    data = json.loads((dataset / "a.json").read_text())
    data["annotations"].append(person(2, [0, 0, 10, 10]))
    (dataset / "a.json").write_text(json.dumps(data))
    annotations = Annotations.read(dataset / "a.json")
    for wanted, images, people in ((1, [1], 3), (2, [1], 3), (3, [1, 2], 5), (99, [1, 2], 5)):
        kept = annotations.first(wanted).data
        assert [image["id"] for image in kept["images"]] == images
        assert len(kept["annotations"]) == people
    assert annotations.images_beside == dataset
    (dataset / "images").mkdir()
    assert annotations.images_beside == dataset / "images"


def test_detections_of_people_in_these_images(dataset: Path) -> None:
    found = [
        {"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 2, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 2, "category_id": 1, "bbox": [1, 2, 0, 4], "score": 0.9},
    ]
    (dataset / "d.json").write_text(json.dumps(found))
    (image,) = Annotations.read(dataset / "a.json").detected(dataset, dataset / "d.json")
    np.testing.assert_array_equal(image.boxes, [[1, 2, 4, 6]])
    assert image.box_scores == pytest.approx([0.5])
    assert image.areas.tolist() == [12]


@pytest.mark.parametrize("content", ["{}", "[", '{"images": [], "annotations": []}', '{"annotations": [{"bbox": []}]}'])
def test_files_that_are_no_annotations(dataset: Path, content: str) -> None:
    (dataset / "a.json").write_text(content)
    with pytest.raises(EdgehrError, match=r"a\.json: not"):
        Annotations.read(dataset / "a.json").ground_truth(dataset)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 9}, "which is not listed"),
        ({"bbox": [1, 2, 3]}, r"annotations\[1\]: bbox must be four numbers, got \[1, 2, 3\]"),
        ({"image_id": "x"}, "image_id must be a whole number, got 'x'"),
        ({"keypoints": [1, 2]}, "keypoints must be x, y, visibility"),
        ({"keypoints": [1, None, 2] * 17}, "keypoints must be numbers"),
        ({"iscrowd": "perhaps"}, "iscrowd must be 0 or 1, got 'perhaps'"),
        ({"keypoints": [5, 5, 2] * 16}, "have \\[16, 17\\] keypoints"),
        ({"category_id": 2}, "categories \\[1, 2\\]"),
    ],
)
def test_annotations_that_lack_something_are_named(dataset: Path, change: dict[str, Any], message: str) -> None:
    data = json.loads((dataset / "a.json").read_text())
    data["annotations"][1] |= change
    (dataset / "a.json").write_text(json.dumps(data))
    with pytest.raises(EdgehrError, match=rf"a\.json: .*{message}"):
        Annotations.read(dataset / "a.json")


def test_nobody_to_evaluate_is_said(dataset: Path) -> None:
    data = json.loads((dataset / "a.json").read_text())
    data["annotations"] = data["annotations"][2:]
    (dataset / "a.json").write_text(json.dumps(data))
    with pytest.raises(EdgehrError, match="nobody to evaluate"):
        Annotations.read(dataset / "a.json")


@pytest.mark.parametrize("content", ['{"a": 1}', '[{"bbox": [1, 2, 3]}]', "[]", "[1]"])
def test_files_that_are_no_detections(dataset: Path, content: str) -> None:
    (dataset / "d.json").write_text(content)
    with pytest.raises(EdgehrError, match=r"d\.json"):
        Annotations.read(dataset / "a.json").detected(dataset, dataset / "d.json")


def test_a_missing_image_or_file_is_named(dataset: Path) -> None:
    (dataset / "1.jpg").unlink()
    with pytest.raises(EdgehrError, match=r"1\.jpg: .* not there"):
        Annotations.read(dataset / "a.json").ground_truth(dataset)
    with pytest.raises(EdgehrError, match="cannot read"):
        Annotations.read(dataset / "absent.json")


def test_models_with_other_keypoints_are_refused(dataset: Path) -> None:
    annotations = Annotations.read(dataset / "a.json")
    KeypointEvaluator(get_card("litehrnet-18-coco-256x192")).check_annotations(annotations)
    with pytest.raises(EdgehrError, match=r"returns 16 keypoints.*have 17"):
        Evaluator.for_card(get_card("hrnet-w32-mpii-256x256")).read(dataset / "a.json")


def test_other_categories_are_evaluated_and_absent_sizes_are_no_figure(dataset: Path) -> None:
    """A runtime that answers with the truth gives AP 1 for animals (category 7), and no figure for medium ones."""
    card = get_card("hrnet-w32-ap10k-256x256")
    data = json.loads((dataset / "a.json").read_text())
    data["annotations"] = [{**data["annotations"][0], "category_id": 7, "area": 100.0**2, "bbox": [10, 10, 60, 60]}]
    data["annotations"][0]["keypoints"] = [40, 40, 2] * 17
    (dataset / "a.json").write_text(json.dumps(data))

    class Truth(Runtime):
        def _infer(self, inputs: Tensors) -> dict[str, Any]:
            heatmaps = np.zeros((1, 17, 64, 64), np.float32)
            heatmaps[:, :, 31:33, 31:33] = 1  # the middle of the box, which is at (40, 40)
            return {"heatmaps": heatmaps}

    float32 = np.dtype(np.float32)
    runtime = Truth(
        [TensorSpec("image", (1, 3, 256, 256), float32)], [TensorSpec("heatmaps", (1, 17, 64, 64), float32)]
    )
    evaluator = Evaluator.for_card(card)
    metrics = evaluator.evaluate(runtime, evaluator.read(dataset / "a.json", dataset))
    assert metrics.ap == 1
    assert metrics.to_dict()["ap_medium"] is None


def test_oks_is_one_for_the_same_pose_and_falls_with_distance() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 100, (17, 2)).astype(np.float32)
    sigmas = get_card("litehrnet-18-coco-256x192").spec.keypoints.sigmas
    moved = keypoints + np.array([[[0.0, 0.0]], [[3.0, 0.0]], [[300.0, 0.0]]], np.float32)
    same, near, far = oks(keypoints, moved, 5000.0, sigmas)
    assert same == 1
    assert 0.5 < near < 1
    assert far < 1e-6
    # COCO's own formula, by hand, for one keypoint three pixels off: exp(-d² / (2 s² k²)), k = 2 sigma, s² = area.
    one = oks(np.zeros((1, 2), np.float32), np.array([[[3.0, 0.0]]], np.float32), 5000.0, [0.05])
    assert one[0] == pytest.approx(np.exp(-9 / (2 * 5000 * 0.1**2)))


def test_doubles_are_suppressed() -> None:
    rng = np.random.default_rng(1)
    pose = rng.uniform(0, 100, (17, 2)).astype(np.float32)
    keypoints = np.stack([pose, pose + 0.5, pose + 60])
    areas = np.full(3, 1e4, np.float32)
    sigmas = get_card("litehrnet-18-coco-256x192").spec.keypoints.sigmas
    assert oks_nms(keypoints, areas, np.array([0.5, 0.9, 0.1], np.float32), sigmas) == [1, 2]


def test_of_doubles_only_keypoints_seen_in_both_count() -> None:
    rng = np.random.default_rng(1)
    pose = rng.uniform(0, 100, (17, 2)).astype(np.float32)
    cut_off = np.stack([pose, pose])
    cut_off[1, 10:] += 60  # the legs are outside the picture, so each box puts them elsewhere
    seen = np.ones((2, 17), bool)
    seen[1, 10:] = False
    areas, scores = np.full(2, 1e4, np.float32), np.array([0.5, 0.9], np.float32)
    sigmas = get_card("litehrnet-18-coco-256x192").spec.keypoints.sigmas
    assert oks_nms(cut_off, areas, scores, sigmas, 0.65) == [1, 0]
    assert oks_nms(cut_off, areas, scores, sigmas, 0.65, seen) == [1]
    seen[1, 3:] = False  # three keypoints say too little
    assert oks_nms(cut_off, areas, scores, sigmas, 0.65, seen) == [1, 0]
