"""Who is who from frame to frame, by overlap of boxes and similarity of keypoints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.live.boxes import areas, overlaps
from edgehr.live.smoothing import OneEuroFilter
from edgehr.tasks.pose.oks import oks
from edgehr.tasks.pose.poses import Poses

# Mean of overlap and keypoint similarity below which two poses are not the same person.
SAME = 0.3
# Seconds for which somebody who is not seen keeps the number. Who was in the frame before keeps it however long ago
# that was: a slow machine looks at a frame a second or less.
MEMORY_S = 1.0
# Frames in a row after which somebody is known. A detection that holds a part of a known person, or two of them, makes
# a second pose of the same body for a frame or two; who is left then is the one who was there before.
KNOWN_AFTER = 3
# Where a data set publishes no constants for OKS: those of COCO lie between 0.025 (eyes) and 0.107 (hips).
PLAIN_SIGMA = 0.07


@dataclass
class Track:
    """Somebody who is followed.

    Attributes:
        number: The person's, never given twice.
        box: xyxy pixels, where they were last.
        keypoints: (K, 2) pixels, then, unsmoothed.
        seen_s: When that was.
        frames: In how many frames they were seen; of those who are not yet known, in a row.
        smooth: Their filter.
    """

    number: int
    box: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    seen_s: float
    frames: int = 0
    smooth: OneEuroFilter = field(default_factory=OneEuroFilter)

    @property
    def known(self) -> bool:
        """Whether they were there for long enough to be somebody of their own."""
        return self.frames >= KNOWN_AFTER


class Tracker:
    """Gives people numbers and smooths their keypoints.

    Pairs are made greedily, the most similar first, which for the few people of a frame finds what an optimal
    assignment would; first with those who are known for some frames, then with the newcomers (the matching cascade of
    Wojke, Bewley, Paulus: Simple Online and Realtime Tracking with a Deep Association Metric, ICIP 2017).

    Args:
        sigmas: (K,) constants of OKS, or empty where none are published.
        smooth: Whether keypoints are smoothed.
    """

    def __init__(self, sigmas: ArrayLike = (), *, smooth: bool = True) -> None:
        self._sigmas = np.asarray(sigmas, np.float64)
        self._smooth = smooth
        self._tracks: list[Track] = []
        self._next = 1
        self._last_s = float("-inf")

    def reset(self) -> None:
        """Forget everybody; numbers are not given again."""
        self._tracks.clear()

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Number the people of the next frame.

        Args:
            poses: With the boxes that they fill, not those that were looked at.
            time_s: When the frame was taken.

        Returns:
            The same people with ids, smoothed where that was asked for.
        """
        oldest_s = min(time_s - MEMORY_S, self._last_s)
        self._tracks = [track for track in self._tracks if track.seen_s >= oldest_s]
        self._last_s = time_s
        chosen = self._assign(poses)
        ids, keypoints = np.empty(len(poses), np.int64), poses.keypoints.copy()
        sizes = np.sqrt(areas(poses.boxes)).tolist()
        for person, track in enumerate(chosen):
            box, points = poses.boxes[person], poses.keypoints[person]
            if track is None:
                track = Track(self._next, box, points, time_s)
                self._tracks.append(track)
                self._next += 1
            track.box, track.keypoints, track.seen_s, track.frames = box, points, time_s, track.frames + 1
            ids[person] = track.number
            if self._smooth:
                keypoints[person] = track.smooth(points, time_s, sizes[person])
        for track in self._tracks:
            if track.seen_s < time_s and not track.known:
                track.frames = 0
        return Poses(poses.boxes, keypoints, poses.scores, ids)

    def _assign(self, poses: Poses) -> list[Track | None]:
        chosen: list[Track | None] = [None] * len(poses)
        if not len(poses) or not self._tracks:
            return chosen
        similar = self._similarities(poses)
        known = np.array([track.known for track in self._tracks])
        for those in (known, ~known):
            while (rest := np.where(those, similar, 0)).max() >= SAME:
                person, number = np.unravel_index(int(rest.argmax()), rest.shape)
                chosen[person] = self._tracks[number]
                similar[person], similar[:, number] = 0, 0
        return chosen

    def _similarities(self, poses: Poses) -> NDArray[np.float64]:
        """(N, tracks): the mean of overlap and of keypoint similarity."""
        boxes = np.stack([track.box for track in self._tracks])
        points = np.stack([track.keypoints for track in self._tracks])
        sigmas = oks_sigmas(poses, self._sigmas)
        alike = oks(poses.keypoints[:, None], points[None], areas(poses.boxes)[:, None], sigmas)
        mean: NDArray[np.float64] = (overlaps(poses.boxes, boxes) + alike) / 2
        return mean


def oks_sigmas(poses: Poses, published: ArrayLike) -> NDArray[np.float64]:
    """(K,) constants of OKS: the published ones, or the same for every keypoint where there are none."""
    sigmas = np.asarray(published, np.float64)
    return sigmas if len(sigmas) else np.full(poses.scores.shape[1], PLAIN_SIGMA)
