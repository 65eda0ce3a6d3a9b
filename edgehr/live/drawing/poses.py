"""Skeletons over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgehr.live.drawing.canvas import canvas
from edgehr.opencv import cv2
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import KeypointSet

MIN_SCORE = 0.3

# BGR. Left and right as the person has them; told apart with color-blind eyes too (Okabe and Ito's blue and orange).
LEFT, RIGHT, MIDDLE = (233, 180, 86), (0, 159, 230), (235, 235, 235)
COLORS = {"left": LEFT, "right": RIGHT, "middle": MIDDLE}
OUTLINE, TEXT = (30, 30, 30), (255, 255, 255)
SHIFT = 4  # OpenCV draws with coordinates in 1/16 pixels

Point = tuple[int, int]
Dot = tuple[Point, int, list[float]]
Limb = tuple[Point, Point, list[float]]


def draw_poses(
    image: NDArray[np.uint8],
    poses: Poses,
    keypoints: KeypointSet | None = None,
    threshold: float = MIN_SCORE,
    *,
    ids: bool = True,
) -> None:
    """Draw skeletons into an image, in place.

    Limbs and keypoints are colored by the person's side. The surer a keypoint, the stronger its color and the larger
    its dot; those under the threshold are left out. People who have an id are labeled with it.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        poses: In pixels of the image.
        keypoints: Names and skeleton; by default those that the poses bring.
        threshold: Lowest score drawn.
        ids: Whether to write people's ids over them.

    Raises:
        TensorError: The image has another form, or is read-only.
    """
    if keypoints is None:
        keypoints = poses.keypoint_set if poses.names else KeypointSet(tuple(map(str, range(poses.scores.shape[1]))))
    style = keypoint_style(keypoints)
    seen = poses.scores >= threshold
    widths = [_line_width(image, box) for box in poses.boxes.tolist()]
    people = zip(_dots(poses, seen, widths, style), _limbs(poses, seen, style), widths, poses.ids.tolist(), strict=True)
    with canvas(image) as drawn:
        for person, (dots, limbs, width, identity) in enumerate(people):
            _draw_skeleton(drawn, dots, limbs, width)
            if ids and identity >= 0 and dots:
                draw_id(drawn, identity, poses.boxes[person].tolist(), width)


def sides(keypoints: KeypointSet) -> list[str]:
    """Tell the side of each keypoint, `left`, `right` or `middle`, from its name."""
    found = []
    for name in keypoints.names:
        words = set(name.lower().replace("-", "_").replace(" ", "_").split("_"))
        found.append("left" if words & {"left", "l"} else "right" if words & {"right", "r"} else "middle")
    return found


@dataclass(frozen=True)
class KeypointStyle:
    """How a set of keypoints is drawn: limbs (L, 2), their colors (L, 3), those of the keypoints (K, 3)."""

    limbs: NDArray[np.intp]
    limb_colors: NDArray[np.float64]
    colors: NDArray[np.float64]


@lru_cache(maxsize=16)
def keypoint_style(keypoints: KeypointSet) -> KeypointStyle:
    """Choose the colors of a set of keypoints: those of the sides that their names tell."""
    side = sides(keypoints)
    limb_colors = []
    for a, b in keypoints.skeleton:
        # A limb has the side of both ends, or of the one that has a side if the other is in the middle.
        known = {side[a], side[b]} - {"middle"}
        limb_colors.append(COLORS[known.pop()] if len(known) == 1 else MIDDLE)
    return KeypointStyle(
        np.array(keypoints.skeleton, np.intp).reshape(-1, 2),
        np.array(limb_colors, float).reshape(-1, 3),
        np.array([COLORS[name] for name in side], float),
    )


def _dots(poses: Poses, seen: NDArray[np.bool_], widths: list[int], style: KeypointStyle) -> list[list[Dot]]:
    """List each person's keypoints that are seen: center and radius in 1/16 pixels, color."""
    radii = np.array(widths)[:, None] * (0.8 + 0.6 * np.clip(poses.scores, 0, 1)) * 2**SHIFT
    parts = fixed_point(poses), np.rint(radii).astype(int).tolist(), _fade(style.colors, poses.scores), seen.tolist()
    return [
        [(center, radius, color) for center, radius, color, shown in zip(*person, strict=True) if shown]
        for person in zip(*parts, strict=True)
    ]


def _limbs(poses: Poses, seen: NDArray[np.bool_], style: KeypointStyle) -> list[list[Limb]]:
    """List each person's limbs of which both ends are seen: ends in 1/16 pixels, color."""
    first, second = style.limbs.T
    colors = _fade(style.limb_colors, np.minimum(poses.scores[:, first], poses.scores[:, second]))
    shown = (seen[:, first] & seen[:, second]).tolist()
    pairs = style.limbs.tolist()
    return [
        [(points[a], points[b], color) for (a, b), color, both in zip(pairs, *person, strict=True) if both]
        for points, *person in zip(fixed_point(poses), colors, shown, strict=True)
    ]


def _fade(colors: NDArray[np.float64], scores: NDArray[np.float32]) -> list[list[list[float]]]:
    """Fade n colors (n, 3) towards gray as the scores (N, n) fall."""
    share = np.clip(0.25 + scores, 0, 1)[..., None]
    faded: list[list[list[float]]] = (share * colors + (1 - share) * 110).tolist()
    return faded


def fixed_point(poses: Poses) -> list[list[Point]]:
    """Convert the keypoints to 1/16 pixels, within what OpenCV takes."""
    rounded = np.rint(np.clip(poses.keypoints, -(2.0**20), 2.0**20) * 2**SHIFT)
    points: list[list[Point]] = rounded.astype(int).tolist()
    return points


def _line_width(image: NDArray[np.uint8], box: Sequence[float]) -> int:
    """Choose the thickness of limbs, pixels, for a person of this xyxy box."""
    person: float = min(max(box[2] - box[0], box[3] - box[1]), max(image.shape[:2]))
    return min(max(round(person / 110), 1), 12)


def _draw_skeleton(image: NDArray[np.uint8], dots: list[Dot], limbs: list[Limb], width: int) -> None:
    """Draw one skeleton. Color is smoothed at its edges; the dark outline is not, which takes half the time."""
    for start, end, _ in limbs:  # all outlines first, so that none crosses a limb
        cv2.line(image, start, end, OUTLINE, width + 2, cv2.LINE_8, SHIFT)
    for center, radius, _ in dots:
        cv2.circle(image, center, radius + 2**SHIFT, OUTLINE, -1, cv2.LINE_8, SHIFT)
    for start, end, color in limbs:
        cv2.line(image, start, end, color, width, cv2.LINE_AA, SHIFT)
    for center, radius, color in dots:
        cv2.circle(image, center, radius, color, -1, cv2.LINE_AA, SHIFT)


def draw_id(image: NDArray[np.uint8], identity: int, box: list[float], width: int) -> None:
    """Write a person's id over the middle of the box, kept inside the image."""
    scale, text = 0.4 + 0.08 * width, str(identity)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    middle = min(max((box[0] + box[2]) / 2, 0), image.shape[1])
    start = int(middle) - wide // 2, max(int(min(box[1], image.shape[0])) - width, high + 2)
    cv2.putText(image, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, OUTLINE, 3, cv2.LINE_AA)
    cv2.putText(image, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)
