"""Skeletons over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.card import KeypointSet
from edgehr.tasks import Poses

SEEN = 0.3

# BGR. Left and right as the person has them; told apart with color-blind eyes too (Okabe and Ito's blue and orange).
LEFT, RIGHT, MIDDLE = (233, 180, 86), (0, 159, 230), (235, 235, 235)
OUTLINE, TEXT = (30, 30, 30), (255, 255, 255)
SMALLEST_TEXT = 0.15  # in OpenCV's scale
SHIFT = 4  # OpenCV draws with coordinates in 1/16 pixels


def sides(keypoints: KeypointSet) -> list[str]:
    """`left`, `right` or `middle` for each keypoint, from its name or that of its partner in the mirror."""
    found = []
    for name in keypoints.names:
        words = name.lower().replace("-", "_").replace(" ", "_").split("_")
        is_left, is_right = {"left", "l"} & set(words), {"right", "r"} & set(words)
        found.append("left" if is_left else "right" if is_right else "middle")
    return found


def draw_poses(
    image: NDArray[np.uint8], poses: Poses, keypoints: KeypointSet, threshold: float = SEEN, *, ids: bool = True
) -> None:
    """Draw skeletons into an image, in place.

    Limbs and keypoints are colored by the person's side. The surer a keypoint, the stronger its color and the larger
    its dot; those under the threshold are left out. People who have an id are labeled with it.

    Args:
        image: (H, W, 3) BGR.
        poses: In pixels of the image.
        keypoints: Names and skeleton.
        threshold: Lowest score drawn.
        ids: Whether to write people's ids over them.
    """
    style = _style(keypoints)
    seen = poses.scores >= threshold
    widths = [line_width(image, box) for box in poses.boxes.tolist()]
    people = zip(_dots(poses, seen, widths, style), _limbs(poses, seen, style), widths, poses.ids.tolist(), strict=True)
    for person, (dots, limbs, width, identity) in enumerate(people):
        _draw_person(image, dots, limbs, width)
        if ids and identity >= 0 and dots:
            _draw_id(image, identity, poses.boxes[person].tolist(), width)


Point = tuple[int, int]
Dot = tuple[Point, int, list[float]]
Limb = tuple[Point, Point, list[float]]


def _dots(poses: Poses, seen: NDArray[np.bool_], widths: list[int], style: _Style) -> list[list[Dot]]:
    """Of each person the keypoints that are seen: center and radius in 1/16 pixels, color."""
    radii = np.array(widths)[:, None] * (0.8 + 0.6 * np.clip(poses.scores, 0, 1)) * 2**SHIFT
    parts = _fixed(poses), np.rint(radii).astype(int).tolist(), _strength(style.colors, poses.scores), seen.tolist()
    return [
        [(center, radius, color) for center, radius, color, shown in zip(*person, strict=True) if shown]
        for person in zip(*parts, strict=True)
    ]


def _limbs(poses: Poses, seen: NDArray[np.bool_], style: _Style) -> list[list[Limb]]:
    """Of each person the limbs of which both ends are seen: ends in 1/16 pixels, color."""
    first, second = style.limbs.T
    colors = _strength(style.limb_colors, np.minimum(poses.scores[:, first], poses.scores[:, second]))
    shown = (seen[:, first] & seen[:, second]).tolist()
    pairs = style.limbs.tolist()
    return [
        [(points[a], points[b], color) for (a, b), color, both in zip(pairs, *person, strict=True) if both]
        for points, *person in zip(_fixed(poses), colors, shown, strict=True)
    ]


def _draw_person(image: NDArray[np.uint8], dots: list[Dot], limbs: list[Limb], width: int) -> None:
    """One skeleton. Color is smoothed at its edges; the outline, thin and dark, is not, which takes half the time."""
    for start, end, _ in limbs:  # all outlines first, so that none crosses a limb
        cv2.line(image, start, end, OUTLINE, width + 2, cv2.LINE_8, SHIFT)
    for center, radius, _ in dots:
        cv2.circle(image, center, radius + 2**SHIFT, OUTLINE, -1, cv2.LINE_8, SHIFT)
    for start, end, color in limbs:
        cv2.line(image, start, end, color, width, cv2.LINE_AA, SHIFT)
    for center, radius, color in dots:
        cv2.circle(image, center, radius, color, -1, cv2.LINE_AA, SHIFT)


def _draw_id(image: NDArray[np.uint8], identity: int, box: list[float], width: int) -> None:
    """The person's id over the middle of the box, kept inside the picture."""
    scale, text = 0.4 + 0.08 * width, str(identity)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    middle = min(max((box[0] + box[2]) / 2, 0), image.shape[1])
    place = int(middle) - wide // 2, max(int(min(box[1], image.shape[0])) - width, high + 2)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, OUTLINE, 3, cv2.LINE_AA)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)


def draw_label(image: NDArray[np.uint8], lines: list[str]) -> None:
    """Write lines of text into the lower left corner, on a dark strip, in place.

    A line that is too long is broken at double spaces, and all are written smaller if that is not enough.
    """
    scale = max(min(image.shape[:2]) / 1100, 0.4)
    step = round(30 * scale) + 2
    room = image.shape[1] - step
    lines = [part for line in lines for part in _broken(line, scale, room)]
    while scale > SMALLEST_TEXT and max(text_width(line, scale) for line in lines) > room:
        scale *= 0.95  # in steps: glyphs come in whole pixels, so widths do not follow the scale
    top = max(image.shape[0] - step * len(lines) - step // 2, 0)
    cv2.convertScaleAbs(image[top:], image[top:], 1 / 3)
    for row, line in enumerate(lines):
        place = (step // 2, top + step * (row + 1) - step // 4)
        cv2.putText(image, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)


def text_width(text: str, scale: float) -> int:
    """Pixels that a line of the label is wide."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    return int(width)


def _broken(line: str, scale: float, room: int) -> list[str]:
    parts, rows = line.split("  "), [""]
    for part in parts:
        longer = f"{rows[-1]}  {part}".strip()
        if rows[-1] and text_width(longer, scale) > room:
            rows.append(part.strip())
        else:
            rows[-1] = longer
    return rows


def line_width(image: NDArray[Any], box: Sequence[float]) -> int:
    """Thickness of limbs for a person of this xyxy box, pixels."""
    person: float = min(max(box[2] - box[0], box[3] - box[1]), max(image.shape[:2]))
    return min(max(round(person / 110), 1), 12)


@dataclass(frozen=True)
class _Style:
    """How a set of keypoints is drawn: limbs (L, 2), their colors (L, 3), those of the keypoints (K, 3)."""

    limbs: NDArray[np.intp]
    limb_colors: NDArray[np.float64]
    colors: NDArray[np.float64]


@lru_cache(maxsize=16)
def _style(keypoints: KeypointSet) -> _Style:
    side = sides(keypoints)
    limb_colors = [_limb_color(side[a], side[b]) for a, b in keypoints.skeleton]
    return _Style(
        np.array(keypoints.skeleton, np.intp).reshape(-1, 2),
        np.array(limb_colors, float).reshape(-1, 3),
        np.array([_COLORS[name] for name in side], float),
    )


_COLORS = {"left": LEFT, "right": RIGHT, "middle": MIDDLE}


def _limb_color(one: str, two: str) -> tuple[int, int, int]:
    """A limb's side: that of both ends, or of the one that has a side if the other is in the middle."""
    if one == two or two == "middle":
        return _COLORS[one]
    return _COLORS[two] if one == "middle" else MIDDLE


def _strength(colors: NDArray[np.float64], scores: NDArray[np.float32]) -> list[list[list[float]]]:
    """Fade n colors (n, 3) towards gray as the scores (N, n) fall."""
    share = np.clip(0.25 + scores, 0, 1)[..., None]
    faded: list[list[list[float]]] = (share * colors + (1 - share) * 110).tolist()
    return faded


def _fixed(poses: Poses) -> list[list[Point]]:
    """The keypoints in 1/16 pixels, within what OpenCV takes."""
    rounded = np.rint(np.clip(poses.keypoints, -(2.0**20), 2.0**20) * 2**SHIFT)
    points: list[list[Point]] = rounded.astype(int).tolist()
    return points
