"""Detections over images: boxes with class and score, masks, and points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError
from edgehr.live.drawing.canvas import canvas, drawable_text
from edgehr.opencv import cv2
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.image.reading import Image

Color = tuple[int, int, int]

# BGR; told apart with color-blind eyes too (Okabe and Ito).
COLORS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204))
TEXT = (30, 30, 30)
OPACITY = 0.45  # of masks


def draw_detections(image: NDArray[np.uint8], detections: Detections, *, opacity: float = OPACITY) -> None:
    """Draw boxes with class and score, masks and points into an image, in place; the surest objects on top.

    The color is that of the class, but objects with masks, which may touch, have each their own. Where classes have no
    names, scores alone are written.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        detections: In pixels of the image.
        opacity: Of the masks, 0 to 1.

    Raises:
        TensorError: The image has another form, masks are of another size, or it is read-only.
    """
    masks = detections.masks
    if masks is not None and masks.size != image.shape[:2]:
        (height, width), (rows, columns) = masks.size, image.shape[:2]
        raise TensorError(f"the masks are of an image of {width}x{height} pixels, not of {columns}x{rows}")
    width = max(round(min(image.shape[:2]) / 300), 1)
    numbers = detections.class_ids.tolist() if masks is None else range(len(detections))
    colors = [COLORS[number % len(COLORS)] for number in numbers]
    points = np.clip(detections.points, -(2**20), 2**20).tolist()
    names = detections.names or [""] * len(detections)
    table = zip(detections.boxes.tolist(), detections.scores.tolist(), points, names, colors, strict=True)
    rows = list(enumerate(table))[::-1]
    with canvas(image) as drawn:
        if masks is not None:
            for number, (*_, color) in rows:
                _draw_mask(drawn, masks, number, color, opacity, width)
        for _, (box, score, places, name, color) in rows:
            left, top, right, bottom = (round(value) for value in box)
            cv2.rectangle(drawn, (left, top), (right, bottom), color, width, cv2.LINE_AA)
            _draw_name(drawn, f"{name} {score:.2f}".strip(), (left, top), color)
            for x, y in places:
                cv2.circle(drawn, (round(x), round(y)), width + 1, color, cv2.FILLED, cv2.LINE_AA)


def _draw_mask(image: Image, masks: Masks, number: int, color: Color, opacity: float, width: int) -> None:
    """Color the pixels of a mask, and draw its outline."""
    left, top, right, bottom = masks.windows[number].tolist()
    part, inside = image[top:bottom, left:right], masks.part(number).astype(np.uint8)
    if not inside.any():
        return
    colored = np.empty_like(part)
    colored[...] = color
    cv2.copyTo(cv2.addWeighted(colored, opacity, part, 1 - opacity, 0), inside, part)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
    cv2.drawContours(image, outlines, -1, color, width, cv2.LINE_AA)


def _draw_name(image: Image, text: str, corner: tuple[int, int], color: Color) -> None:
    """Write on a strip above the upper left corner of a box, inside the image."""
    scale = max(min(image.shape[:2]) / 1100, 0.4)
    text = drawable_text(text)
    (across, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    left, foot = max(min(corner[0], image.shape[1] - across), 0), max(corner[1], high + below)
    cv2.rectangle(image, (left, foot - high - below), (left + across, foot), color, cv2.FILLED)
    cv2.putText(image, text, (left, foot - below // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)
