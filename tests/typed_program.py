"""A program that uses edgehr as mypy sees it: `test_wheel.py` checks it against the wheel. It is never run."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import edgehr


def people(image: NDArray[np.uint8]) -> None:
    with edgehr.PoseEstimator("model.onnx", detector="detector.onnx", threads=2) as estimator:
        assert_type(estimator, edgehr.PoseEstimator)
        poses = estimator(image)
        assert_type(poses, edgehr.Poses)
        assert_type(poses["left_wrist"], NDArray[np.float32])
        assert_type(poses[:1], edgehr.Poses)
        assert_type(poses.to_rows(), list[dict[str, Any]])
        for streamed in estimator.stream(Path("video.mp4")):
            assert_type(streamed, edgehr.StreamPoses)
            assert_type(streamed.time_s, float | None)
            assert_type(streamed.frame.image, NDArray[np.uint8])
        for frame, found in estimator.results(0, edgehr.StageTimes()):
            assert_type((frame, found), tuple[edgehr.Frame, edgehr.Poses])
        edgehr.draw_poses(image, poses)


def others(image: NDArray[np.uint8]) -> None:
    with edgehr.Segmenter("segmenter.onnx") as segmenter:
        assert_type(segmenter(image).mask("person"), NDArray[np.bool_])
    with edgehr.ImageClassifier("classifier.onnx") as classifier:
        assert_type(classifier(image).best.name, str)
        assert_type(classifier(image)["dog"], float)
    with edgehr.FaceDetector("faces.onnx") as detector:
        assert_type(detector(image)[:1].to_coco(1, {"face": 1}), list[dict[str, Any]])
    with edgehr.LandmarkDetector("landmarks.onnx") as landmarks:
        assert_type(landmarks(image)[:1], edgehr.Landmarks)
    with edgehr.load("model.onnx") as runtime:
        assert_type(runtime, edgehr.Runtime)
    assert_type(edgehr.list_models("hand"), list[edgehr.ModelCard])


class Mine:
    def __call__(self, image: NDArray[Any]) -> edgehr.Detections:
        return edgehr.Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


estimator = edgehr.PoseEstimator("model.onnx", detector=Mine())
estimator("person.jpg")  # type: ignore[arg-type]
estimator.task.nonsense()  # type: ignore[attr-defined]
edgehr.PoseEstimator("model.onnx", detekter=None)  # type: ignore[call-arg]
edgehr.nonsense()  # type: ignore[attr-defined]
