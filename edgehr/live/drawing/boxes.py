"""Boxes of objects over images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgehr.live.drawing.canvas import canvas, drawable_text
from edgehr.opencv import cv2
from edgehr.tasks.detection.detections import Detections

# BGR; told apart with color-blind eyes too (Okabe and Ito).
COLORS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204))
TEXT = (30, 30, 30)


def draw_boxes(image: NDArray[np.uint8], detections: Detections, class_names: Sequence[str] = ()) -> None:
    """Draw boxes with class and score, and the points of the objects, into an image, in place.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        detections: In pixels of the image.
        class_names: By class id; without names, scores alone are written.

    Raises:
        TensorError: The image has another form, or is read-only.
    """
    width = max(round(min(image.shape[:2]) / 300), 1)
    scale = max(min(image.shape[:2]) / 1100, 0.4)
    columns = detections.boxes, detections.scores, detections.class_ids, np.clip(detections.points, -(2**20), 2**20)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    with canvas(image) as drawn:
        for box, score, class_id, points in rows:
            color = COLORS[class_id % len(COLORS)]
            left, top, right, bottom = (round(value) for value in box)
            cv2.rectangle(drawn, (left, top), (right, bottom), color, width, cv2.LINE_AA)
            name = f"{class_names[class_id]} " if class_id < len(class_names) else ""
            text = drawable_text(f"{name}{score:.2f}")
            (across, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
            foot = max(top, high + below)
            cv2.rectangle(drawn, (left, foot - high - below), (left + across, foot), color, cv2.FILLED)
            place = (left, foot - below // 2)
            cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)
            for x, y in points:
                cv2.circle(drawn, (round(x), round(y)), width + 1, color, cv2.FILLED, cv2.LINE_AA)
