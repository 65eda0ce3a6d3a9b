import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.evaluation.coco import check_annotations
from edgehr.evaluation.oks import oks, oks_nms
from edgehr.evaluation.people import annotated_people, detected_people
from edgehr.zoo import get_card


def person(image: int, bbox: list[float], visible: int = 2, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "bbox": bbox, "keypoints": [5, 5, visible] * 17, "id": 1, **more}


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


def test_labelled_people_with_boxes_clipped_to_the_image(dataset: Path) -> None:
    (image,) = annotated_people(dataset / "a.json", dataset)
    assert image.image_id == 1
    np.testing.assert_array_equal(image.boxes, [[10, 10, 30, 40], [90, 70, 100, 80]])
    assert (image.box_scores == 1).all()


def test_detections_of_people_in_these_images(dataset: Path) -> None:
    found = [
        {"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 2, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 2, "category_id": 1, "bbox": [1, 2, 0, 4], "score": 0.9},
    ]
    (dataset / "d.json").write_text(json.dumps(found))
    (image,) = detected_people(dataset / "a.json", dataset, dataset / "d.json")
    np.testing.assert_array_equal(image.boxes, [[1, 2, 4, 6]])
    assert image.box_scores == pytest.approx([0.5])


@pytest.mark.parametrize("content", ["{}", "[", '{"images": [], "annotations": []}', '{"annotations": [{"bbox": []}]}'])
def test_files_that_are_no_annotations(dataset: Path, content: str) -> None:
    (dataset / "a.json").write_text(content)
    with pytest.raises(EdgehrError, match=r"a\.json: not"):
        annotated_people(dataset / "a.json", dataset)


@pytest.mark.parametrize("content", ['{"a": 1}', '[{"bbox": [1, 2, 3]}]', "[]", "[1]"])
def test_files_that_are_no_detections(dataset: Path, content: str) -> None:
    (dataset / "d.json").write_text(content)
    with pytest.raises(EdgehrError, match=r"d\.json"):
        detected_people(dataset / "a.json", dataset, dataset / "d.json")


def test_a_missing_image_or_file_is_named(dataset: Path) -> None:
    (dataset / "1.jpg").unlink()
    with pytest.raises(EdgehrError, match=r"1\.jpg: .* not there"):
        annotated_people(dataset / "a.json", dataset)
    with pytest.raises(EdgehrError, match="cannot read"):
        annotated_people(dataset / "absent.json", dataset)


def test_models_with_other_keypoints_are_refused(dataset: Path) -> None:
    check_annotations(get_card("litehrnet-18-coco-256x192"), dataset / "a.json")
    with pytest.raises(EdgehrError, match=r"returns 16 keypoints.*have 17"):
        check_annotations(get_card("hrnet-w32-mpii-256x256"), dataset / "a.json")


def test_oks_is_one_for_the_same_pose_and_falls_with_distance() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 100, (17, 2)).astype(np.float32)
    sigmas = get_card("litehrnet-18-coco-256x192").keypoints.sigmas
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
    boxes = np.array([[0, 0, 100, 100]] * 3, np.float32)
    sigmas = get_card("litehrnet-18-coco-256x192").keypoints.sigmas
    assert oks_nms(keypoints, boxes, np.array([0.5, 0.9, 0.1], np.float32), sigmas) == [1, 2]
