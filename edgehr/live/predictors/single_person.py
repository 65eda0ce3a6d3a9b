"""One person without a detector: the crop follows the person's own keypoints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.live.tracking.boxes import keypoint_boxes
from edgehr.runtimes.base import Runtime
from edgehr.tasks.image.boxes import overlaps
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.task import PoseTask

MAX_REFINEMENTS = 2
# Overlap of the next box with the last above which a closer look would give the same.
SETTLED_IOU = 0.9
# Mean score of all keypoints. On photographs, a person well in the crop scores above 0.55 with the sample weights; a
# skeleton strung between several people, or onto furniture, below 0.45.
CONVINCING, ACCEPTABLE, LOST = 0.55, 0.45, 0.3

MAX_WINDOWS = 32

Box = NDArray[np.float32]


class SinglePerson:
    """Finds one person in a frame and follows them through the next ones.

    The search begins with the whole frame. Its keypoints give a closer box, in which the pose is estimated again until
    the box settles. If that convinces nobody, windows of a person's shape over the frame are tried, and the best is
    refined. From then on each frame takes one inference, in the box of the frame before, until the person is lost.

    Args:
        runtime: A top-down pose model, of any batch.
        card: Its card.
        windows_per_frame: How many windows are tried at most in one frame of a video, so that a search does not stall
            it; the next frame goes on with the next ones. None tries all (7 to 32), for single pictures.
    """

    def __init__(self, runtime: Runtime, card: ModelCard, windows_per_frame: int | None = None) -> None:
        self._runtime = runtime
        self._task = PoseTask(card)
        self._windows_per_frame = windows_per_frame
        self._box: Box | None = None
        self._tried = 0

    def reset(self) -> None:
        """Forget the person; the next frame is searched as a whole."""
        self._box, self._tried = None, 0

    def __call__(self, frame: NDArray[Any]) -> Poses:
        """Estimate the pose in a frame.

        Args:
            frame: uint8 BGR, grayscale or BGRA, any size.

        Returns:
            Poses of one person, or of none where nobody is found.
        """
        frame = as_bgr(frame)
        if self._box is not None:
            poses = self._estimate(frame, self._box)
            self._box = self._next_box(poses, frame)
            if self._box is not None and poses.scores.mean() > LOST:
                return poses
        poses = self._search(frame)
        found = poses.scores.mean() >= ACCEPTABLE
        self._box = self._next_box(poses, frame) if found else None
        return poses if found else poses[:0]

    def _search(self, frame: NDArray[np.uint8]) -> Poses:
        """Find the best pose of the whole frame or, if that does not convince, of windows over it."""
        height, width = frame.shape[:2]
        whole = self._refine(frame, self._estimate(frame, np.array([0, 0, width, height], np.float32)))
        if whole.scores.mean() >= CONVINCING:
            return whole
        windows = person_windows(width, height)
        count = min(self._windows_per_frame or len(windows), len(windows))
        chosen = [windows[(self._tried + i) % len(windows)] for i in range(count)]
        self._tried += count
        best = max((self._estimate(frame, window) for window in chosen), key=_mean_score)
        return max(whole, self._refine(frame, best), key=_mean_score)

    def _refine(self, frame: NDArray[np.uint8], poses: Poses) -> Poses:
        """Estimate again in the box of the keypoints, as long as that helps."""
        for _ in range(MAX_REFINEMENTS):
            closer = self._next_box(poses, frame)
            if closer is None or overlaps(poses.boxes, closer[None])[0, 0] > SETTLED_IOU:
                break
            again = self._estimate(frame, closer)
            if _mean_score(again) < _mean_score(poses):  # a closer look may cut the person off
                break
            poses = again
        return poses

    def _estimate(self, frame: NDArray[np.uint8], box: Box) -> Poses:
        batch, context = self._task.preprocess(frame, box)
        return self._task.postprocess(self._runtime.infer_batch(batch), context)

    @staticmethod
    def _next_box(poses: Poses, frame: NDArray[np.uint8]) -> Box | None:
        """Box the seen keypoints, inside the frame; None where they are too few or in one spot."""
        boxes, found = keypoint_boxes(poses, frame.shape[1], frame.shape[0])
        return boxes[0] if found[0] else None


def person_windows(width: int, height: int) -> list[Box]:
    """Cover a frame with windows of a standing person's shape: full height, then half height, overlapping by half.

    There are at most `MAX_WINDOWS`, each (4,) xyxy pixels; very long frames are covered with gaps.
    """
    windows = []
    for share in (1.0, 0.5):
        size = np.array([min(0.75 * share * height, width), share * height])
        counts = [1 + math.ceil(2 * (full - part) / part) for full, part in zip((width, height), size, strict=True)]
        for y in np.linspace(0, height - size[1], counts[1]):
            for x in np.linspace(0, width - size[0], counts[0]):
                windows.append(np.array([x, y, x + size[0], y + size[1]], np.float32))
    step = -(-len(windows) // MAX_WINDOWS)
    return windows[::step]


def _mean_score(poses: Poses) -> float:
    return float(poses.scores.mean())
