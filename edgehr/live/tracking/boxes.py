"""Boxes of people from their keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.pose.poses import Poses

# Score under which a keypoint says nothing of where the person is.
MIN_SCORE = 0.3
# Keypoints lie inside a person's outline: half a head above the eyes, a hand beyond the wrist.
MARGIN = 0.15
MIN_KEYPOINTS = 4

Boxes = NDArray[np.float32]


def keypoint_boxes(poses: Poses, width: int, height: int) -> tuple[Boxes, NDArray[np.bool_]]:
    """Box each person's seen keypoints, with a margin, for the next frame.

    Args:
        poses: N people.
        width: Of the frame; boxes stay inside.
        height: Of the frame.

    Returns:
        (N, 4) xyxy pixels, and (N,) whether there is such a box: not where too few keypoints are seen, or in one spot.
    """
    seen = poses.scores > MIN_SCORE
    low = np.where(seen[..., None], poses.keypoints, np.inf).min(axis=1, initial=np.inf)
    high = np.where(seen[..., None], poses.keypoints, -np.inf).max(axis=1, initial=-np.inf)
    enough = seen.sum(axis=1) >= MIN_KEYPOINTS
    low[~enough], high[~enough] = 0, 0
    margin = MARGIN * (high - low).max(axis=1, initial=0)[:, None]
    limit = np.array([width, height], np.float32)
    low, high = np.clip(low - margin, 0, limit), np.clip(high + margin, 0, limit)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    return boxes, enough & ((high - low).min(axis=1, initial=np.inf) >= 2)
