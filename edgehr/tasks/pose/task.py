"""Top-down pose estimation: boxes of people in, keypoints out."""

from __future__ import annotations

from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import PoseSpec
from edgehr.tasks.pose.top_down import TopDownTask


class PoseTask(TopDownTask[Poses]):
    """Pre- and post-processing of a top-down heatmap network for poses.

    Args:
        card: A card of task ``pose``.
    """

    spec_type = PoseSpec
    result_type = Poses
    evaluator = "edgehr.evaluation.keypoints.evaluator:KeypointEvaluator"
    predictor = "edgehr.live.predictors.pose:PoseEstimator"
