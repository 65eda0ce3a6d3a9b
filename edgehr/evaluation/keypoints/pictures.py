"""A person with the skeletons of two models over each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgehr.opencv import cv2
from edgehr.tasks.pose.poses import KEYPOINT_THRESHOLD, Poses
from edgehr.tasks.pose.spec import KeypointSet

HEIGHT = 384
_MARGIN = 0.2
_WIDTHS = (6, 2)
_OUTLINE = (30, 30, 30)
_SHIFT = 4  # OpenCV draws with coordinates in 1/16 pixels


def draw_skeletons(
    image: NDArray[np.uint8], models: Sequence[Poses], keypoints: KeypointSet, colors: Sequence[str]
) -> NDArray[np.uint8]:
    """Cut a person out, bring it to one height, and draw both skeletons, the second thinner and on top.

    Args:
        image: (H, W, 3) uint8 BGR.
        models: Two models' pose of the person, one each.
        keypoints: Their skeleton.
        colors: Of the two, as in CSS: ``#rrggbb``.

    Returns:
        (384, W, 3) uint8 BGR.
    """
    left, top, right, bottom = _crop_window(image, models)
    scale = HEIGHT / (bottom - top)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = max(round((right - left) * scale), 1), HEIGHT
    canvas: NDArray[np.uint8] = cv2.resize(image[top:bottom, left:right], size, interpolation=interpolation)
    for poses, color, width in zip(models, colors, _WIDTHS, strict=True):
        # In pixels of the enlarged picture, whose pixel centers lie at halves.
        points = (poses.keypoints[0] - (left, top) + 0.5) * scale - 0.5
        seen = poses.scores[0] > KEYPOINT_THRESHOLD
        fixed = [(int(x), int(y)) for x, y in np.rint(np.clip(points, -1e4, 1e4) * 2**_SHIFT)]
        blue_green_red = tuple(int(color[start : start + 2], 16) for start in (5, 3, 1))
        for thickness, shade in ((width + 2, _OUTLINE), (width, blue_green_red)):
            for a, b in keypoints.skeleton:
                if seen[a] and seen[b]:
                    cv2.line(canvas, fixed[a], fixed[b], shade, thickness, cv2.LINE_AA, _SHIFT)
            for number in np.flatnonzero(seen):
                radius = (thickness + 1) << (_SHIFT - 1)
                cv2.circle(canvas, fixed[number], radius, shade, -1, cv2.LINE_AA, _SHIFT)
    return canvas


def _crop_window(image: NDArray[np.uint8], models: Sequence[Poses]) -> tuple[int, int, int, int]:
    """Find the person's box with all of both skeletons, within the image."""
    height, width = image.shape[:2]
    box = models[0].boxes[0].astype(np.float64)
    margin = _MARGIN * (box[2:] - box[:2])
    points = [box[:2] - margin, box[2:] + margin]
    points += [point for poses in models for point in poses.keypoints[0][poses.scores[0] > KEYPOINT_THRESHOLD]]
    low, high = np.floor(np.min(points, axis=0)), np.ceil(np.max(points, axis=0))
    left, top = (int(np.clip(value, 0, size - 1)) for value, size in zip(low, (width, height), strict=True))
    right, bottom = (int(np.clip(value, 1, size)) for value, size in zip(high, (width, height), strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)
