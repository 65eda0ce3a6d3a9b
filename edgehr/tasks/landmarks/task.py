"""Face landmarks: boxes of faces in, landmarks out."""

from __future__ import annotations

from edgehr.tasks.detection.spec import FACE
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.landmarks.spec import LandmarksSpec
from edgehr.tasks.pose.top_down import TopDownTask


class LandmarksTask(TopDownTask[Landmarks]):
    """Pre- and post-processing of a top-down heatmap network for face landmarks.

    Args:
        card: A card of task ``landmarks``.
    """

    spec_type = LandmarksSpec
    result_type = Landmarks
    boxes_hold = FACE
    evaluator = "edgehr.evaluation.landmarks:LandmarksEvaluator"
    predictor = "edgehr.live.predictors.landmarks:LandmarkDetector"
