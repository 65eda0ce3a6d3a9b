"""Frames that belong together: people found once, followed from then on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.live.predictors.single_person import SinglePerson
from edgehr.live.timing import StageTimes
from edgehr.live.tracking.boxes import MIN_SCORE, Boxes, keypoint_boxes
from edgehr.live.tracking.tracker import Tracker, oks_sigmas
from edgehr.runtimes.base import Runtime
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.image.boxes import areas, overlaps
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.oks import oks_nms
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.task import PoseTask

# Mean score of all keypoints below which there is nobody in a box.
MIN_MEAN_SCORE = 0.3
# A detected box that overlaps a tracked one by more than this is the same person.
SAME_BOX_IOU = 0.5
# Similarity of the keypoints seen in both above which two poses are of one person. Those that nobody sees, such as the
# legs of a person whom the picture's edge cuts off, lie anywhere in each box.
DUPLICATE_OKS = 0.65
WINDOWS_PER_FRAME = 8


class PoseSequence:
    """Estimates the poses in one frame after the other.

    In a frame with detections, poses are estimated in the detected boxes, and in the boxes of people that the detector
    missed; in one without, where people were in the frame before, by their keypoints. Without a detector at all, one
    person is searched for and followed.

    Made by `PoseEstimator.sequence`; not safe to use from several threads at once.

    Args:
        runtime: A top-down pose model, of any batch.
        card: Its card.
        detects: Whether frames come with detections.
        smooth: Whether keypoints are smoothed.
        max_people: How many are estimated in a frame, the surest first.
        independent: Whether the frames are single pictures, and not a sequence: then nothing is remembered, and a
            single person is searched for as long as it takes.
        times: Where the stages `crop`, `pose`, `decode` and `track` are noted.
    """

    def __init__(
        self,
        runtime: Runtime,
        card: ModelCard,
        *,
        detects: bool,
        smooth: bool,
        max_people: int,
        independent: bool,
        times: StageTimes,
    ) -> None:
        self._runtime, self._task = runtime, PoseTask(card)
        self._tracker = Tracker(self._task.spec.keypoints.sigmas, smooth=smooth)
        windows = None if independent else WINDOWS_PER_FRAME
        self._single = None if detects else SinglePerson(runtime, card, windows_per_frame=windows)
        self._independent = independent
        self._max_people = max_people
        self._times = times
        self._boxes: Boxes = np.zeros((0, 4), np.float32)

    def reset(self) -> None:
        """Forget everybody: the next frame has nothing to do with the last."""
        self._boxes = self._boxes[:0]
        self._tracker.reset()
        if self._single is not None:
            self._single.reset()

    def step(self, frame: NDArray[Any], time_s: float, detections: Detections | None = None) -> Poses:
        """Estimate the poses in the next frame.

        Args:
            frame: uint8 BGR, grayscale or BGRA, of any size.
            time_s: When it was taken; later than the frame before.
            detections: Where people are in it, if a detector looked.

        Returns:
            Poses with ids, which are -1 in independent pictures, and boxes around the keypoints.
        """
        image = as_bgr(frame)
        if self._independent:
            self.reset()
        if self._single is not None:
            with self._times.measure("pose"):
                poses = self._single(image)
        else:
            poses = estimate_in_boxes(self._runtime, self._task, image, self._candidates(detections), self._times)
        with self._times.measure("track"):
            boxes, found = keypoint_boxes(poses, image.shape[1], image.shape[0])
            self._boxes = boxes[found]
            followed = replace(poses, boxes=np.where(found[:, None], boxes, poses.boxes))
            tracked = self._tracker(followed, time_s)
        if self._independent:  # nobody is followed
            return replace(tracked, ids=np.full_like(tracked.ids, -1))
        return tracked.at(None, time_s)

    def _candidates(self, detections: Detections | None) -> Boxes:
        """Choose the boxes to look in: detected ones, surest first, and tracked ones that no detected one covers."""
        if detections is None:
            return self._boxes[: self._max_people]
        detected = detections.surest().boxes
        if len(detected) and len(self._boxes):
            missed = self._boxes[overlaps(self._boxes, detected).max(axis=1) < SAME_BOX_IOU]
        else:
            missed = self._boxes
        return np.concatenate([detected, missed])[: self._max_people]


def estimate_in_boxes(
    runtime: Runtime, task: PoseTask, image: NDArray[np.uint8], boxes: Boxes, times: StageTimes
) -> Poses:
    """Estimate the poses in all boxes of an image with as few inferences as the model allows.

    Args:
        runtime: Runs the model.
        task: Its pre- and post-processing.
        image: (H, W, 3) BGR.
        boxes: (N, 4) xyxy, image pixels.
        times: Where the stages `crop`, `pose` and `decode` are noted.

    Returns:
        The people who are there: boxes that hold nobody are left out, and duplicates.
    """
    with times.measure("crop"):
        batch, context = task.preprocess(image, boxes)
    with times.measure("pose"):
        outputs = runtime.infer_batch(batch)
    with times.measure("decode"):
        poses = task.postprocess(outputs, context)
    return without_duplicates(poses[poses.scores.mean(axis=1) >= MIN_MEAN_SCORE], task.spec.keypoints.sigmas)


def without_duplicates(poses: Poses, sigmas: ArrayLike) -> Poses:
    """Drop the less certain of two poses that are nearly the same: two boxes held the same person."""
    if len(poses) < 2:
        return poses
    boxes, _ = keypoint_boxes(poses, 1 << 20, 1 << 20)
    chosen = oks_nms(
        poses.keypoints,
        areas(boxes),
        poses.scores.mean(axis=1),
        oks_sigmas(poses, sigmas),
        DUPLICATE_OKS,
        poses.scores > MIN_SCORE,
    )
    return poses[np.array(sorted(chosen), np.intp)]
