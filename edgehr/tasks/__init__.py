"""Pre- and post-processing, with NumPy and OpenCV only: one file per task.

Calibration, evaluation, applications and the demo all go through this code, so they cannot drift apart.
"""

from __future__ import annotations

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.task import PoseTask

__all__ = ["DetectionTask", "Detections", "PoseTask", "Poses", "Task"]

_TASKS = {"pose": PoseTask}


class Task:
    """Finds the task that a card asks for, of those that take an image with boxes.

    A detector takes the image alone, and has settings of its own: `DetectionTask(card, threshold, nms)`.
    """

    @staticmethod
    def for_card(card: ModelCard) -> PoseTask:
        """Return the pre- and post-processing of a model.

        Raises:
            EdgehrError: The card's task is unknown to this version.
        """
        if card.task == "detection":
            raise EdgehrError(f"{card.name} finds people (task detection) where a pose model is needed")
        kind = _TASKS.get(card.task)
        if kind is None:
            raise EdgehrError(f"{card.name}: task {card.task!r} is unknown: expected one of {', '.join(_TASKS)}")
        return kind(card)
