"""NME on the files that mmpose has, against a plain computation, and what users get wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.landmarks import LandmarksEvaluator
from edgehr.notices import warn_once
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.zoo import get_card

AFLW = get_card("hrnetv2-w18-aflw-256x256")
COFW = get_card("hrnetv2-w18-cofw-256x256")
# Set -> what its errors are divided by, as the field has it: two landmarks, or what the annotation says.
NORMALIZERS: dict[str, tuple[int, int] | str] = {"wflw": (60, 72), "300w": (36, 45), "cofw": (8, 9), "aflw": "box_size"}


def moved(boxes: np.ndarray, points: np.ndarray, by: float) -> Landmarks:
    """Landmarks `by` pixels beside these points."""
    off = points + np.array([0.6, 0.8]) * by
    return Landmarks(boxes, off.astype(np.float32), np.ones(points.shape[:2], np.float32))


@pytest.mark.parametrize("name", NORMALIZERS)
def test_nme_is_that_of_a_plain_computation(name: str, shared: Path) -> None:
    file = shared / "data" / "mmpose-samples" / name / f"test_{name}.json"
    evaluator = Evaluator.for_card(get_card(f"hrnetv2-w18-{name}-256x256"))
    assert isinstance(evaluator, LandmarksEvaluator)
    dataset = evaluator.read(file)
    data = json.loads(file.read_text())
    expected, results = [], []
    for image in dataset.images:
        faces = [face for face in data["annotations"] if face["image_id"] == image.image_id]
        points = np.array([face["keypoints"] for face in faces], float).reshape(len(faces), -1, 3)[..., :2]
        results.append(moved(image.boxes, points, by=2.5))
        for face, truth in zip(faces, points, strict=True):
            normalizer = NORMALIZERS[name]
            unit = (
                face[normalizer]
                if isinstance(normalizer, str)
                else math.dist(truth[normalizer[0]], truth[normalizer[1]])
            )
            expected.append(2.5 / unit)
        assert image.read().shape[:2] == image.size[::-1]
        if "center" in faces[0]:
            sizes = (image.boxes[:, 2:] - image.boxes[:, :2]).T
            assert np.allclose(sizes, [200 * face["scale"] for face in faces], atol=1e-3)
            middle = (image.boxes[:, 2:] + image.boxes[:, :2]) / 2
            assert np.allclose(middle, [face["center"] for face in faces], atol=1e-3)
    metrics = evaluator.score(dataset, results)
    assert metrics.headline == pytest.approx(np.mean(expected), rel=1e-4)
    assert metrics.accuracy == pytest.approx(1 - np.mean(expected), rel=1e-4)
    assert metrics.figures["FR@0.1"] == np.mean([nme > 0.1 for nme in expected])
    assert metrics.figures["AUC@0.1"] == pytest.approx(np.mean([max(1 - nme / 0.1, 0) for nme in expected]), rel=1e-3)
    assert metrics.counted == f"{len(expected)} faces in {len(dataset.images)} images"
    json.dumps(metrics.to_dict(), allow_nan=False)


def write(folder: Path, faces: list[dict[str, Any]], landmarks: int = 29) -> Path:
    """A file of faces in one picture of 200x100, each with its landmarks in a row unless it says otherwise."""
    cv2.imwrite(str(folder / "a.png"), np.zeros((100, 200, 3), np.uint8))
    usual = {
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": [value for number in range(landmarks) for value in (10.0 + number, 20.0 + number % 5, 1)],
        "bbox": [10, 20, 29, 10],
    }
    entries = [{key: value for key, value in {**usual, **face}.items() if value is not None} for face in faces]
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
        "annotations": [{**entry, "id": number} for number, entry in enumerate(entries, 1)],
        "categories": [{"id": 1, "name": "face", "keypoints": []}],
    }
    (folder / "a.json").write_text(json.dumps(data))
    return folder / "a.json"


@pytest.fixture(autouse=True)
def every_warning() -> None:
    warn_once.cache_clear()


def test_another_set_of_landmarks_is_refused(shared: Path) -> None:
    file = shared / "data" / "mmpose-samples" / "300w" / "test_300w.json"
    evaluator = LandmarksEvaluator(get_card("hrnetv2-w18-wflw-256x256"))
    with pytest.raises(EdgehrError, match=r"test_300w\.json: its faces have 68 landmarks, hrnetv2-w18-wflw.* finds 98"):
        evaluator.read(file)
    with pytest.raises(EdgehrError, match="leave detections out"):
        evaluator.read(file, detections=file)


def test_faces_without_boxes_get_the_extent_of_their_landmarks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = LandmarksEvaluator(COFW).read(write(tmp_path, [{"bbox": None}]))
    assert dataset.images[0].boxes.tolist() == [[10, 20, 38, 24]]
    (record,) = caplog.records
    assert "1 of 1 people have no bbox: the extent of their keypoints is taken" in record.getMessage()


def test_a_normalizer_of_zero_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = [value for number in range(29) for value in (10.0 + number, 20.0, 1)]
    same = [*row[:27], *row[24:27], *row[30:]]  # 8 and 9, the corners of the eyes, in one place
    unlabeled = [*row[:26], 0, *row[27:]]
    evaluator = LandmarksEvaluator(COFW)
    dataset = evaluator.read(write(tmp_path, [{}, {"keypoints": same}, {"keypoints": unlabeled}]))
    assert len(dataset) == 1
    assert "2 of 3 faces are left out: their distance of right_eye_outer and left_eye_outer" in caplog.text
    with pytest.raises(EdgehrError, match="in no face is the distance of right_eye_outer and left_eye_outer above 0"):
        evaluator.read(write(tmp_path, [{"keypoints": same}]))
    with pytest.raises(EdgehrError, match="in no face is the size of the face's box above 0"):
        LandmarksEvaluator(AFLW).read(write(tmp_path, [{"box_size": 0}], landmarks=19))
    with pytest.raises(EdgehrError, match=r"box_size must be a number, got 'wide'"):
        LandmarksEvaluator(AFLW).read(write(tmp_path, [{"box_size": "wide"}], landmarks=19))
    with pytest.raises(EdgehrError, match="center must be two numbers and scale one"):
        evaluator.read(write(tmp_path, [{"center": [1], "scale": 1}]))
    with pytest.raises(EdgehrError, match="not one face has a labeled landmark"):
        evaluator.read(write(tmp_path, [{"keypoints": [0] * 87}]))


def test_the_faces_of_coco_wholebody_are_found_in_its_people(tmp_path: Path) -> None:
    face = [value for number in range(68) for value in (50.0 + number, 40.0 + number % 7, 1)]
    person = {"keypoints": [1.0, 2.0, 2] * 17, "bbox": [0, 0, 150, 90]}
    people = [
        {**person, "face_kpts": face, "face_box": [50, 40, 68, 7], "face_valid": True},
        {**person, "face_kpts": [0] * 204, "face_box": [0, 0, 0, 0], "face_valid": False},
    ]
    dataset = LandmarksEvaluator(get_card("hrnetv2-w18-coco-wholebody-face-256x256")).read(write(tmp_path, people))
    assert dataset.images[0].boxes.tolist() == [[50, 40, 118, 47]]


def test_agreement_is_nme_with_the_first_as_the_truth(tmp_path: Path) -> None:
    evaluator = LandmarksEvaluator(COFW)
    images = evaluator.read(write(tmp_path, [{}])).images
    points = np.random.default_rng(0).uniform(10, 40, (1, 29, 2))
    points[0, 8], points[0, 9] = (0, 0), (30, 40)
    first, second = (moved(images[0].boxes, points, by) for by in (0, 1))
    agreement = evaluator.agreement(images, [first], [second])
    assert agreement.nme == pytest.approx(1 / 50, rel=1e-4)
    assert agreement.similarity == pytest.approx(0.98, rel=1e-4)
    assert agreement.metric is not None
    assert agreement.metric.accuracy == pytest.approx(0.98, rel=1e-4)
    assert evaluator.similarities(images[0], first, second) == pytest.approx([0.98], rel=1e-4)
    json.dumps(agreement.to_dict(), allow_nan=False)
    points[0, 9] = points[0, 8]
    nowhere = evaluator.agreement(images, [moved(images[0].boxes, points, 0)], [second])
    assert math.isnan(nowhere.similarity)
    assert (nowhere.faces, nowhere.left_out) == (0, 1)
    with pytest.raises(EdgehrError, match="find other landmarks"):
        evaluator.check_comparable(AFLW)


def test_a_crop_knows_its_face(tmp_path: Path) -> None:
    evaluator = LandmarksEvaluator(COFW)
    path = write(tmp_path, [{}, {"bbox": [12, 20, 29, 10]}])
    (image,) = evaluator.read(path).images
    crops = [image[np.array([number])] for number in (1, 0)]
    numbered = [type(crop)(n, crop.path, crop.boxes, crop.box_scores, crop.areas) for n, crop in enumerate(crops)]
    dataset = evaluator.of_crops(path, None, numbered)
    assert dataset is not None
    assert [len(faces) for faces in dataset.truth.values()] == [1, 1]
    assert (
        evaluator.draw_pair(
            image, 1, *[moved(image.boxes, np.full((2, 29, 2), 25.0), 0)] * 2, ("#ff0000", "#00ff00")
        ).shape[0]
        == 384
    )
