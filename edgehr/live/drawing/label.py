"""Lines of text in a corner of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.live.drawing.canvas import canvas, drawable_text
from edgehr.opencv import cv2

TEXT_COLOR = (255, 255, 255)
MIN_SCALE = 0.15  # of OpenCV's fonts


def draw_label(image: NDArray[np.uint8], lines: list[str]) -> None:
    """Write lines of text into the lower left corner, on a dark strip, in place.

    A line that is too long is broken at double spaces, and all are written smaller if that is not enough.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        lines: The text, from top to bottom. OpenCV draws a question mark for what its font has not.

    Raises:
        TensorError: The image has another form, or is read-only.
    """
    lines = [drawable_text(line) for line in lines]
    scale = max(min(image.shape[:2]) / 1100, 0.4)
    step = round(30 * scale) + 2
    width = image.shape[1] - step
    lines = [part for line in lines for part in _wrap(line, scale, width)]
    while scale > MIN_SCALE and max(_text_width(line, scale) for line in lines) > width:
        scale *= 0.95  # in steps: glyphs come in whole pixels, so widths do not follow the scale
    top = max(image.shape[0] - step * len(lines) - step // 2, 0)
    with canvas(image) as drawn:
        cv2.convertScaleAbs(drawn[top:], drawn[top:], 1 / 3)
        for row, line in enumerate(lines):
            start = (step // 2, top + step * (row + 1) - step // 4)
            cv2.putText(drawn, line, start, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT_COLOR, 1, cv2.LINE_AA)


def _wrap(line: str, scale: float, width: int) -> list[str]:
    """Break a line at double spaces into rows that are at most so many pixels wide."""
    parts, rows = line.split("  "), [""]
    for part in parts:
        longer = f"{rows[-1]}  {part}".strip()
        if rows[-1] and _text_width(longer, scale) > width:
            rows.append(part.strip())
        else:
            rows[-1] = longer
    return rows


def _text_width(text: str, scale: float) -> int:
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    return int(width)
