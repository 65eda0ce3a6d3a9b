"""LandmarkDetector: boxes from a detector, streams, and the demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgehr
from edgehr.assets import photographs
from edgehr.errors import EdgehrError, TensorError
from edgehr.live.predictors.landmarks import LandmarkDetector, face_boxes
from edgehr.live.sources import open_source
from edgehr.notices import warn_once
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.pose.spec import KeypointSet
from edgehr.zoo import get_card
from tests.live.predictors.mean_face import mean_face, save_mean_face

CARD = get_card("hrnetv2-w18-aflw-256x256")
FACE = np.random.default_rng(0).uniform(0.2, 0.8, (19, 2))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "face.onnx"
    save_mean_face(path, CARD, FACE)
    return path


def two_faces(image: np.ndarray) -> Detections:
    boxes = np.array([[10, 10, 50, 60], [100, 20, 160, 100]], np.float32)
    return Detections(boxes, np.array([0.7, 0.9], np.float32))


def expected(boxes: np.ndarray) -> np.ndarray:
    """The mean face in the padded squares around boxes."""
    center, side = (boxes[:, :2] + boxes[:, 2:]) / 2, 1.25 * (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    return np.array(center[:, None] + (FACE[None] - 0.5) * side[:, None, None])


def test_landmarks_are_found_in_the_faces_of_the_detector(model: Path) -> None:
    image = np.zeros((120, 200, 3), np.uint8)
    with LandmarkDetector(model, detector=two_faces) as detector:
        found = detector(image)
        assert isinstance(found, Landmarks)
        boxes = face_boxes(two_faces(image).boxes[[1, 0]])  # the surest first
        np.testing.assert_allclose(boxes[0], [94.8, 32.8, 165.2, 103.2], atol=1e-4)
        np.testing.assert_allclose(found.boxes, boxes)
        assert np.abs(found.points - expected(boxes)).max() < 1
        assert detector.landmarks.names[-1] == "chin"
        given = detector(image, [20, 30, 60, 70])
        assert np.abs(given.points - expected(np.array([[20, 30, 60, 70]]))).max() < 0.5
        with pytest.raises(TensorError, match="x2 > x1"):
            detector(image, [60, 30, 20, 70])
        drawn = image.copy()
        detector.draw(drawn, found)
        assert drawn.any()
    with LandmarkDetector(model, detector=lambda _: Detections.none(), max_faces=1) as nobody:
        assert len(nobody(image)) == 0
        nobody.draw(image, nobody(image))
        assert not image.any()


def test_without_a_detector_the_picture_is_one_face_and_that_is_said(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    with edgehr.predictor(model) as detector:
        assert isinstance(detector, LandmarkDetector)
        for _ in range(2):
            found = detector(np.zeros((100, 100, 3), np.uint8))
    assert found.boxes.tolist() == [[0, 0, 100, 100]]
    (record,) = caplog.records
    assert "no face detector is given: the whole picture is taken for one face" in record.getMessage()


@pytest.mark.parametrize("detect_every", [1, 3])
def test_faces_of_a_stream_keep_their_ids(model: Path, tmp_path: Path, detect_every: int) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (200, 120))
    for _ in range(7):
        writer.write(np.zeros((120, 200, 3), np.uint8))
    writer.release()
    with LandmarkDetector(model, detector=two_faces, detect_every=detect_every) as detector:
        results = [found for _, found in detector.results(tmp_path / "a.avi")]
    assert [found.ids.tolist() for found in results] == [[1, 2]] * 7
    assert all(isinstance(found, Landmarks) for found in results)
    source = open_source(photographs()[0])
    with LandmarkDetector(model, detector=two_faces) as detector:
        (found,) = (found for _, found in detector.results(source))
    assert found.ids.tolist() == [-1, -1]


def test_wrong_options_and_models_are_refused(model: Path) -> None:
    with pytest.raises(EdgehrError, match="must be at least 1"):
        LandmarkDetector(model, max_faces=0)
    with pytest.raises(EdgehrError, match="model for landmarks, not for detection"):
        LandmarkDetector(model, detector=model)
    with pytest.raises(EdgehrError, match="model for landmarks, not for pose"):
        edgehr.PoseEstimator(model)


def test_landmarks_of_any_kind_of_image_are_drawn() -> None:
    keypoints = KeypointSet(("left_eye", "right_eye", "chin"), skeleton=((0, 2), (1, 2)))
    points = np.array([[[10, 10], [30, 10], [20, 40]]], np.float32)
    box = np.array([[5, 5, 40, 45]], np.float32)
    found = Landmarks(box, points, np.ones((1, 3), np.float32), np.array([3]), keypoints)
    for shape in ((60, 60), (60, 60, 3), (60, 60, 4)):
        image = np.zeros(shape, np.uint8)
        edgehr.draw_landmarks(image, found)
        assert image.any()
    far = Landmarks(box, points * np.float32(1e30), found.scores, keypoint_set=keypoints)
    edgehr.draw_landmarks(np.zeros((60, 60, 3), np.uint8), far)


@pytest.mark.slow
def test_the_demo_draws_landmarks_on_whole_pictures(
    shared: Path, yunet_ir: Path, tmp_path: Path, edgehr_command: Any
) -> None:
    card = get_card("hrnetv2-w18-300w-256x256")
    face = mean_face(shared, "300w", card)
    save_mean_face(tmp_path / "face.onnx", card, face)
    source = shared / "data" / "mmpose-samples" / "300w"
    files = ["--model", tmp_path / "face.onnx", "--detector", yunet_ir, "--source", source]
    done = edgehr_command("demo", *files, "--save", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["frames"], summary["frames_with"], summary["found"]) == (2, 2, "faces")
    data = json.loads((source / "test_300w.json").read_text())
    numbers = {image["file_name"]: image["id"] for image in data["images"]}
    for result in summary["results"]:
        (truth,) = (each for each in data["annotations"] if each["image_id"] == numbers[result["frame"]])
        points = np.array(truth["keypoints"]).reshape(-1, 3)[:, :2]
        found = np.array(result["faces"][0]["points"])[:, :2]
        eyes = np.linalg.norm(points[36] - points[45])
        assert np.linalg.norm(found - points, axis=1).mean() / eyes < 0.35  # the mean face, unturned
        assert (tmp_path / "out" / result["frame"]).is_file()
