"""Identities of people from frame to frame, by overlap of boxes and similarity of keypoints."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.live.tracking.smoothing import OneEuroFilter
from edgehr.tasks.image.boxes import areas, overlaps
from edgehr.tasks.pose.oks import oks
from edgehr.tasks.pose.poses import Poses

# Mean of overlap and keypoint similarity below which two poses are not the same person.
MIN_SIMILARITY = 0.3
# Seconds for which a person who is not seen keeps the id. Who was in the frame before keeps it however long ago that
# was: a slow machine looks at a frame a second or less.
MAX_AGE_S = 1.0
# Frames in a row after which a track is confirmed. A detection that holds a part of a known person, or two of them,
# makes a second pose of the same body for a frame or two; who is left then is the one who was there before.
CONFIRMED_AFTER = 3
# Where a data set publishes no constants for OKS: those of COCO lie between 0.025 (eyes) and 0.107 (hips).
DEFAULT_SIGMA = 0.07

P = TypeVar("P", bound=Poses)


@dataclass
class Track:
    """A person who is followed.

    Attributes:
        id: Never given twice.
        box: (4,) xyxy pixels, where the person was last.
        keypoints: (K, 2) pixels, where they were then, unsmoothed.
        last_s: When that was.
        frames: In how many frames the person was seen; in a row, as long as the track is not confirmed.
        smooth: Their filter.
    """

    id: int
    box: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    last_s: float
    frames: int = 0
    smooth: OneEuroFilter = field(default_factory=OneEuroFilter)

    @property
    def confirmed(self) -> bool:
        """Tell whether it lasted long enough to be a person of its own."""
        return self.frames >= CONFIRMED_AFTER


class Tracker:
    """Gives people ids and smooths their keypoints.

    Pairs are made greedily, the most similar first, which for the few people of a frame finds what an optimal
    assignment would; first with confirmed tracks, then with new ones (the matching cascade of Wojke, Bewley, Paulus:
    Simple Online and Realtime Tracking with a Deep Association Metric, ICIP 2017).

    Args:
        sigmas: (K,) constants of OKS, or empty where none are published.
        smooth: Whether keypoints are smoothed.
    """

    def __init__(self, sigmas: ArrayLike = (), *, smooth: bool = True) -> None:
        self._sigmas = np.asarray(sigmas, np.float64)
        self._smooth = smooth
        self._tracks: list[Track] = []
        self._next_id = 1
        self._last_s = float("-inf")

    def reset(self) -> None:
        """Forget everybody; ids are not given again."""
        self._tracks.clear()

    def __call__(self, poses: P, time_s: float) -> P:
        """Identify the people of the next frame.

        Args:
            poses: With boxes around their keypoints, not those that were cut out.
            time_s: When the frame was taken.

        Returns:
            The same people with ids, smoothed where that was asked for.
        """
        oldest_s = min(time_s - MAX_AGE_S, self._last_s)
        self._tracks = [track for track in self._tracks if track.last_s >= oldest_s]
        self._last_s = time_s
        matches = self._match(poses)
        ids, keypoints = np.empty(len(poses), np.int64), poses.keypoints.copy()
        sizes = np.sqrt(areas(poses.boxes)).tolist()
        for person, track in enumerate(matches):
            box, points = poses.boxes[person], poses.keypoints[person]
            if track is None:
                track = Track(self._next_id, box, points, time_s)
                self._tracks.append(track)
                self._next_id += 1
            track.box, track.keypoints, track.last_s, track.frames = box, points, time_s, track.frames + 1
            ids[person] = track.id
            if self._smooth:
                keypoints[person] = track.smooth(points, time_s, sizes[person])
        for track in self._tracks:
            if track.last_s < time_s and not track.confirmed:
                track.frames = 0
        return replace(poses, keypoints=keypoints, ids=ids)

    def _match(self, poses: Poses) -> list[Track | None]:
        """Find the track of each person, None for those who are new."""
        matches: list[Track | None] = [None] * len(poses)
        if not len(poses) or not self._tracks:
            return matches
        similarity = self._similarity(poses)
        confirmed = np.array([track.confirmed for track in self._tracks])
        for candidates in (confirmed, ~confirmed):
            while (rest := np.where(candidates, similarity, 0)).max() >= MIN_SIMILARITY:
                person, track = np.unravel_index(int(rest.argmax()), rest.shape)
                matches[person] = self._tracks[track]
                similarity[person], similarity[:, track] = 0, 0
        return matches

    def _similarity(self, poses: Poses) -> NDArray[np.float64]:
        """Average the overlap and the keypoint similarity of each person and track: (N, tracks)."""
        boxes = np.stack([track.box for track in self._tracks])
        points = np.stack([track.keypoints for track in self._tracks])
        sigmas = oks_sigmas(poses, self._sigmas)
        keypoint_similarity = oks(poses.keypoints[:, None], points[None], areas(poses.boxes)[:, None], sigmas)
        mean: NDArray[np.float64] = (overlaps(poses.boxes, boxes) + keypoint_similarity) / 2
        return mean


def oks_sigmas(poses: Poses, published: ArrayLike) -> NDArray[np.float64]:
    """Return the (K,) constants of OKS: the published ones, or the same for every keypoint where there are none."""
    sigmas = np.asarray(published, np.float64)
    return sigmas if len(sigmas) else np.full(poses.scores.shape[1], DEFAULT_SIGMA)
