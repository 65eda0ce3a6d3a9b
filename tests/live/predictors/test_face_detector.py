"""YuNet by edgehr's own runtimes against OpenCV's FaceDetectorYN, and the choice of a detector's class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.cli.main import main
from edgehr.errors import EdgehrError, TensorError
from edgehr.live.predictors.detectors import FaceDetector, ObjectDetector, PersonDetector, open_detector
from edgehr.runtimes import load
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.task import DetectionTask
from edgehr.zoo import get_card

CARD = get_card("yunet-widerface-640x640")
SIZE = 640


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "detectors" / "face_detection_yunet_2026may.onnx"


def by_opencv(detector: Any, image: np.ndarray) -> np.ndarray:
    """Rows of x, y, width, height, five points and score, in pixels of the image, the most certain first."""
    height, width = image.shape[:2]
    scale = min(SIZE / height, SIZE / width)
    inner = cv2.resize(image, (int(width * scale), int(height * scale)))
    padded = cv2.copyMakeBorder(inner, 0, SIZE - len(inner), 0, SIZE - inner.shape[1], cv2.BORDER_CONSTANT)
    _, found = detector.detect(padded)
    rows = np.zeros((0, 15), np.float32) if found is None else found[np.argsort(-found[:, 14], kind="stable")]
    return np.concatenate([rows[:, :14] / scale, rows[:, 14:]], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["published ONNX", "OpenVINO"])
def test_faces_are_those_that_opencv_finds(
    kind: str, weights: Path, shared: Path, request: pytest.FixtureRequest
) -> None:
    create = getattr(cv2, "FaceDetectorYN", None)
    if create is None:
        pytest.skip("this OpenCV has no FaceDetectorYN")
    reference = create.create(str(weights), "", (SIZE, SIZE), 0.75, 0.3, 5000)
    path, card = (weights, CARD) if kind == "published ONNX" else (request.getfixturevalue("yunet_ir"), None)
    samples = sorted((shared / "data" / "mmpose-samples").glob("*/*.[jp][pn]g"))
    people = sorted((shared / "data" / "coco-val2017-people" / "images").glob("*.jpg"))[:8]
    faces = 0
    with FaceDetector(path, card=card) as detector:
        for file in (*samples, *people, *photographs()):
            image = cv2.imread(str(file))
            expected, found = by_opencv(reference, image), detector(image)
            assert len(found) == len(expected), file
            limits = [image.shape[1], image.shape[0]] * 2
            corners = np.concatenate([expected[:, :2], expected[:, :2] + expected[:, 2:4]], axis=1)
            np.testing.assert_allclose(found.boxes, np.clip(corners, 0, limits), atol=1e-2)
            np.testing.assert_allclose(found.points, expected[:, 4:14].reshape(-1, 5, 2), atol=1e-2)
            np.testing.assert_allclose(found.scores, expected[:, 14], atol=1e-4)
            faces += len(found)
    assert faces > 70


@pytest.mark.slow
def test_it_converts_to_other_precisions_and_sizes(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    convert = ["convert", CARD.name, "--weights", str(weights), "--to", "onnx"]
    assert main([*convert, "--size", "320x256", "--precision", "fp16"]) == 0
    path = tmp_path / "artifacts" / "yunet-widerface-320x256-fp16.onnx"
    with load(path) as runtime:
        assert runtime.inputs[0].shape == (1, 3, 320, 256)
        assert {spec.name: spec.shape for spec in runtime.outputs} == {
            name: (1, *shape) for name, shape in DetectionTask(runtime.card).output_shapes().items()
        }
    with FaceDetector(path) as detector:
        found = detector(cv2.imread(str(photographs()[0])))
    assert len(found) == 1
    capsys.readouterr()
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    for word in ("1: face", "5: right_eye, left_eye, nose", "gray 0"):
        assert word in shown
    assert main([*convert, "--batch", "2"]) == 1
    assert "convert it with --batch 1" in capsys.readouterr().err


def outputs(task: DetectionTask) -> dict[str, np.ndarray]:
    return {name: np.zeros((1, *shape), np.float32) for name, shape in task.output_shapes().items()}


def test_each_place_gives_a_box_and_five_points() -> None:
    task = DetectionTask(CARD)
    _, context = task.preprocess(np.zeros((1280, 640, 3), np.uint8))
    assert context.scale == (0.5, 0.5)
    raw = outputs(task)
    place = 3 * 40 + 7  # third row, seventh column of the grid of stride 16
    raw["cls_16"][0, place], raw["obj_16"][0, place] = 0.9, 1.6  # beyond 1, as rounding may make it
    raw["bbox_16"][0, place] = [0.5, 0.25, np.log(2), np.log(3)]
    raw["kps_16"][0, place, :2] = [1, 2]
    found = task.postprocess(raw, context)
    assert found.scores.tolist() == [pytest.approx(np.sqrt(0.9))]
    x, y = 7.5 * 16, 3.25 * 16
    assert np.allclose(found.boxes, 2 * np.array([[x - 16, y - 24, x + 16, y + 24]]))
    assert np.allclose(found.points[0, :2], 2 * np.array([[8 * 16, 5 * 16], [7 * 16, 3 * 16]]))
    assert len(found.to_dict()["objects"][0]["points"]) == 5
    assert "points" not in Detections(found.boxes, found.scores).to_dict()["objects"][0]
    del raw["kps_8"]
    with pytest.raises(TensorError, match="returns 'kps_8', got 'cls_8'"):
        task.postprocess(raw, context)
    with pytest.raises(TensorError, match=r"need points \(N, P, 2\)"):
        Detections(found.boxes, found.scores, points=np.zeros((2, 5, 2), np.float32))


def test_grids_are_compared_together() -> None:
    """A grid without any face holds next to nothing, and rounding would look large beside it."""
    task = DetectionTask(CARD)
    first, second = outputs(task), outputs(task)
    first["obj_8"][0, 0] = second["obj_8"][0, 0] = 1
    first["obj_16"][0, 0] = 1e-7
    assert task.compare(first, second).relative < 1e-4


@pytest.mark.slow
def test_the_class_of_a_detector_follows_its_card(yunet_ir: Path, detector_ir: Path) -> None:
    for path, kind, found in ((yunet_ir, FaceDetector, "faces"), (detector_ir, ObjectDetector, "objects")):
        with open_detector(path) as detector:
            assert type(detector) is kind
            assert detector.found == found
            image = cv2.imread(str(photographs()[0]))
            result = detector(image)
            drawn = image.copy()
            detector.draw(drawn, result)
            assert (drawn != image).any()
    with load(yunet_ir) as runtime:
        card = runtime.card
        other = replace(card, spec=replace(card.spec, classes=("mask",)))
        assert type(ObjectDetector(runtime, card=other)) is ObjectDetector
        assert type(open_detector(runtime, card=other)) is ObjectDetector
        people = replace(card, spec=replace(card.spec, classes=("person",)))
        assert type(open_detector(runtime, card=people)) is PersonDetector
    with open_detector(detector_ir, classes=["dog", "person"]) as detector:
        assert set(detector(cv2.imread(str(photographs()[0]))).names) == {"person"}
    with pytest.raises(EdgehrError, match="knows no class 'person', but face"):
        PersonDetector(yunet_ir)
    with pytest.raises(EdgehrError, match="name at least one class to find"):
        open_detector(detector_ir, classes=[])
    with pytest.raises(EdgehrError, match="knows no class 'face', but person"):
        FaceDetector(detector_ir)
