"""Skeletons over pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.card import KeypointSet
from edgehr.tasks import Poses

SEEN = 0.3

# BGR. Left and right as the person has them; told apart with colour-blind eyes too (Okabe and Ito's blue and orange).
LEFT, RIGHT, MIDDLE = (233, 180, 86), (0, 159, 230), (235, 235, 235)
OUTLINE = (30, 30, 30)
SHIFT = 4  # OpenCV draws with coordinates in 1/16 pixels


def sides(keypoints: KeypointSet) -> list[str]:
    """`left`, `right` or `middle` for each keypoint, from its name or that of its partner in the mirror."""
    found = []
    for name in keypoints.names:
        words = name.lower().replace("-", "_").replace(" ", "_").split("_")
        is_left, is_right = {"left", "l"} & set(words), {"right", "r"} & set(words)
        found.append("left" if is_left else "right" if is_right else "middle")
    return found


def draw_poses(image: NDArray[np.uint8], poses: Poses, keypoints: KeypointSet, threshold: float = SEEN) -> None:
    """Draw skeletons into an image, in place.

    Limbs and keypoints are coloured by the person's side. The surer a keypoint, the stronger its colour and the larger
    its dot; those under the threshold are left out.

    Args:
        image: (H, W, 3) BGR.
        poses: In pixels of the image.
        keypoints: Names and skeleton.
        threshold: Lowest score drawn.
    """
    side = sides(keypoints)
    for box, points, scores in zip(poses.boxes, poses.keypoints, poses.scores, strict=True):
        width = line_width(image, box)
        seen = scores >= threshold
        limbs = [limb for limb in keypoints.skeleton if seen[limb[0]] and seen[limb[1]]]
        for a, b in limbs:  # all outlines first, so that none crosses a limb
            cv2.line(image, _fixed(points[a]), _fixed(points[b]), OUTLINE, width + 2, cv2.LINE_AA, SHIFT)
        for a, b in limbs:
            colour = _strength(_limb_colour(side[a], side[b]), min(scores[a], scores[b]))
            cv2.line(image, _fixed(points[a]), _fixed(points[b]), colour, width, cv2.LINE_AA, SHIFT)
        for index in np.flatnonzero(seen):
            radius = round(width * (0.8 + 0.6 * min(float(scores[index]), 1.0)) * 2**SHIFT)
            centre, colour = _fixed(points[index]), _strength(_COLOURS[side[index]], scores[index])
            cv2.circle(image, centre, radius + 2**SHIFT, OUTLINE, -1, cv2.LINE_AA, SHIFT)
            cv2.circle(image, centre, radius, colour, -1, cv2.LINE_AA, SHIFT)


def draw_label(image: NDArray[np.uint8], lines: list[str]) -> None:
    """Write lines of text into the lower left corner, on a dark strip, in place."""
    scale = max(min(image.shape[:2]) / 1100, 0.4)
    step = round(30 * scale) + 2
    widest = max(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] for line in lines)
    scale *= min(1.0, (image.shape[1] - 2 * step) / max(widest, 1))
    top = max(image.shape[0] - step * len(lines) - step // 2, 0)
    image[top:] = image[top:] // 3
    for row, line in enumerate(lines):
        place = (step // 2, top + step * (row + 1) - step // 4)
        cv2.putText(image, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)


def line_width(image: NDArray[Any], box: NDArray[np.float32]) -> int:
    """Thickness of limbs for a person of this box, pixels."""
    person = min(float(max(box[2] - box[0], box[3] - box[1])), max(image.shape[:2]))
    return int(np.clip(round(person / 110), 1, 12))


_COLOURS = {"left": LEFT, "right": RIGHT, "middle": MIDDLE}


def _limb_colour(one: str, two: str) -> tuple[int, int, int]:
    """A limb's side: that of both ends, or of the one that has a side if the other is in the middle."""
    if one == two or two == "middle":
        return _COLOURS[one]
    return _COLOURS[two] if one == "middle" else MIDDLE


def _strength(colour: tuple[int, int, int], score: float) -> tuple[float, ...]:
    """Fade towards grey as the score falls."""
    share = float(np.clip(0.25 + score, 0, 1))
    return tuple(share * channel + (1 - share) * 110 for channel in colour)


def _fixed(point: NDArray[np.float32]) -> tuple[int, int]:
    x, y = np.clip(point, -(2.0**20), 2.0**20) * 2**SHIFT
    return round(float(x)), round(float(y))
