"""edgehr: HRNet and Lite-HRNet networks on edge devices.

Importing this package loads nothing but the standard library; each name below is imported when it is first used, with
NumPy and OpenCV at most. Runtimes are imported by `load`, PyTorch only by `convert`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgehr.calib.dataset.calibration_set import CalibrationSet
    from edgehr.card import ModelCard
    from edgehr.converters.by_name import convert
    from edgehr.errors import ArtifactError, CheckpointError, EdgehrError, MissingDependencyError, TensorError
    from edgehr.live.drawing.detections import draw_detections
    from edgehr.live.drawing.label import draw_label
    from edgehr.live.drawing.landmarks import draw_landmarks
    from edgehr.live.drawing.poses import draw_poses
    from edgehr.live.drawing.segmentation import blur_background, draw_segmentation
    from edgehr.live.predictors.classifier import ImageClassifier
    from edgehr.live.predictors.detectors import Detector, FaceDetector, ObjectDetector, PersonDetector
    from edgehr.live.predictors.landmarks import LandmarkDetector
    from edgehr.live.predictors.opening import predictor
    from edgehr.live.predictors.pose import PoseEstimator, StreamPoses
    from edgehr.live.predictors.pose_sequence import PoseSequence
    from edgehr.live.predictors.segmenter import Segmenter
    from edgehr.live.sinks import Sink, StopRequested, open_sinks
    from edgehr.live.sources import Frame, Source, open_source
    from edgehr.live.timing import StageTimes
    from edgehr.rollout.pull import pulled_model
    from edgehr.runtimes import Runtime, load
    from edgehr.runtimes.tensorrt.runtime import TensorRTRuntime
    from edgehr.tasks.base import Task
    from edgehr.tasks.classification.classification import Classification
    from edgehr.tasks.detection.detections import Detections
    from edgehr.tasks.landmarks.landmarks import Landmarks
    from edgehr.tasks.pose.poses import Poses
    from edgehr.tasks.segmentation.segmentation import Segmentation
    from edgehr.zoo import list_models

__version__ = "0.1.0"

# Where each name is. A type checker reads the imports above; a test holds the two together.
_HOMES = {
    "ArtifactError": "edgehr.errors",
    "CalibrationSet": "edgehr.calib.dataset.calibration_set",
    "CheckpointError": "edgehr.errors",
    "Classification": "edgehr.tasks.classification.classification",
    "Detections": "edgehr.tasks.detection.detections",
    "Detector": "edgehr.live.predictors.detectors",
    "EdgehrError": "edgehr.errors",
    "FaceDetector": "edgehr.live.predictors.detectors",
    "Frame": "edgehr.live.sources",
    "ImageClassifier": "edgehr.live.predictors.classifier",
    "LandmarkDetector": "edgehr.live.predictors.landmarks",
    "Landmarks": "edgehr.tasks.landmarks.landmarks",
    "MissingDependencyError": "edgehr.errors",
    "ModelCard": "edgehr.card",
    "ObjectDetector": "edgehr.live.predictors.detectors",
    "PersonDetector": "edgehr.live.predictors.detectors",
    "PoseEstimator": "edgehr.live.predictors.pose",
    "PoseSequence": "edgehr.live.predictors.pose_sequence",
    "Poses": "edgehr.tasks.pose.poses",
    "Runtime": "edgehr.runtimes",
    "Segmentation": "edgehr.tasks.segmentation.segmentation",
    "Segmenter": "edgehr.live.predictors.segmenter",
    "Sink": "edgehr.live.sinks",
    "Source": "edgehr.live.sources",
    "StageTimes": "edgehr.live.timing",
    "StopRequested": "edgehr.live.sinks",
    "StreamPoses": "edgehr.live.predictors.pose",
    "Task": "edgehr.tasks.base",
    "TensorError": "edgehr.errors",
    "TensorRTRuntime": "edgehr.runtimes.tensorrt.runtime",
    "blur_background": "edgehr.live.drawing.segmentation",
    "convert": "edgehr.converters.by_name",
    "draw_detections": "edgehr.live.drawing.detections",
    "draw_label": "edgehr.live.drawing.label",
    "draw_landmarks": "edgehr.live.drawing.landmarks",
    "draw_poses": "edgehr.live.drawing.poses",
    "draw_segmentation": "edgehr.live.drawing.segmentation",
    "list_models": "edgehr.zoo",
    "load": "edgehr.runtimes",
    "open_sinks": "edgehr.live.sinks",
    "open_source": "edgehr.live.sources",
    "predictor": "edgehr.live.predictors.opening",
    "pulled_model": "edgehr.rollout.pull",
}

__all__ = [
    "ArtifactError",
    "CalibrationSet",
    "CheckpointError",
    "Classification",
    "Detections",
    "Detector",
    "EdgehrError",
    "FaceDetector",
    "Frame",
    "ImageClassifier",
    "LandmarkDetector",
    "Landmarks",
    "MissingDependencyError",
    "ModelCard",
    "ObjectDetector",
    "PersonDetector",
    "PoseEstimator",
    "PoseSequence",
    "Poses",
    "Runtime",
    "Segmentation",
    "Segmenter",
    "Sink",
    "Source",
    "StageTimes",
    "StopRequested",
    "StreamPoses",
    "Task",
    "TensorError",
    "TensorRTRuntime",
    "__version__",
    "blur_background",
    "convert",
    "draw_detections",
    "draw_label",
    "draw_landmarks",
    "draw_poses",
    "draw_segmentation",
    "list_models",
    "load",
    "open_sinks",
    "open_source",
    "predictor",
    "pulled_model",
]


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'edgehr' has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
