"""Landmarks of faces over images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.live.drawing.canvas import canvas
from edgehr.live.drawing.poses import SHIFT, draw_id, fixed_point, keypoint_style
from edgehr.opencv import cv2
from edgehr.tasks.landmarks.landmarks import Landmarks

# Pixels of a face's side for each pixel of a line's width, and a dot's radius in such widths.
FACE_PIXELS, DOT = 160, 1.2
# Pixels of a face's side below which dots would hide it, and contours alone are drawn.
DOTS_FROM = 100


def draw_landmarks(image: NDArray[np.uint8], landmarks: Landmarks, *, ids: bool = True) -> None:
    """Draw the contours of faces and their landmarks into an image, in place.

    Colors are those of the person's side; faces that have an id are labeled with it.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        landmarks: In pixels of the image.
        ids: Whether to write ids over the faces.

    Raises:
        TensorError: The image has another form, or is read-only.
    """
    if not len(landmarks):
        return
    style = keypoint_style(landmarks.keypoint_set)
    sides = (landmarks.points.max(axis=1) - landmarks.points.min(axis=1)).max(axis=1)
    with canvas(image) as drawn:
        for points, side, identity, box in zip(
            fixed_point(landmarks), sides.tolist(), landmarks.ids.tolist(), landmarks.boxes.tolist(), strict=True
        ):
            width = min(max(round(side / FACE_PIXELS), 1), 6)
            radius = max(round(DOT * width * 2**SHIFT), 2**SHIFT)
            for (a, b), color in zip(style.limbs.tolist(), style.limb_colors.tolist(), strict=True):
                cv2.line(drawn, points[a], points[b], color, width, cv2.LINE_AA, SHIFT)
            for center, color in zip(points, style.colors.tolist(), strict=True):
                if side < DOTS_FROM and len(style.limbs):
                    break
                cv2.circle(drawn, center, radius, color, -1, cv2.LINE_AA, SHIFT)
            if ids and identity >= 0:
                draw_id(drawn, identity, box, width)
