"""A panel of the most probable classes over an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.live.drawing.canvas import canvas
from edgehr.opencv import cv2
from edgehr.tasks.classification.classification import Classification

# BGR. The best class in Okabe and Ito's orange, the others in a light blue gray.
BEST, OTHER, TRACK = (0, 159, 230), (190, 170, 150), (82, 76, 70)
TEXT, FAINT = (255, 255, 255), (215, 210, 205)
PANEL, OPACITY = (36, 30, 26), 0.78

MIN_SCALE = 0.15  # of OpenCV's fonts
MAX_ROWS = 10
MAX_WIDTH = 0.94  # of the image
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHIFT = 4  # OpenCV draws with coordinates in 1/16 pixels


def draw_classes(image: NDArray[np.uint8], result: Classification) -> None:
    """Draw the most probable classes into the upper left corner: name, probability, and a bar of its length, in place.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        result: Its classification; ten classes at most are drawn, and only as many as there is room for. OpenCV draws a
            question mark for what its font has not.

    Raises:
        TensorError: The image has another form, or is read-only.
    """
    height, width = image.shape[:2]
    rows = [(_printable(each.name), f"{100 * each.probability:.1f}%", each.probability) for each in result][:MAX_ROWS]
    scale = max(min(height, width) / 900, 0.42)
    while scale > MIN_SCALE and _panel_width(rows, scale) > MAX_WIDTH * width:
        scale *= 0.95  # in steps: glyphs come in whole pixels, so widths do not follow the scale
    step, margin = _step(scale), round(12 * scale) + 2
    rows = rows[: max((height - 3 * margin) // step, 1)]
    left, top = margin, margin
    right = min(left + _panel_width(rows, scale), width - 1)
    bottom = min(top + step * len(rows) + margin, height - 1)
    with canvas(image) as drawn:
        _draw_panel(drawn, (left, top, right, bottom), margin)
        for rank, (name, percent, probability) in enumerate(rows):
            foot = top + margin // 4 + step * (rank + 1)
            _draw_row(drawn, name, percent, probability, (left + margin, right - margin, foot), scale, first=not rank)


def _draw_row(
    image: NDArray[np.uint8],
    name: str,
    percent: str,
    probability: float,
    place: tuple[int, int, int],
    scale: float,
    *,
    first: bool,
) -> None:
    """Draw one class between two columns, and its bar on the row `foot`."""
    left, right, foot = place
    thick = max(round(7 * scale), 2)
    line = foot - thick - round(9 * scale)
    color = TEXT if first else FAINT
    stroke = max(round(1.6 * scale), 1)
    cv2.putText(image, name, (left, line), _FONT, scale, color, stroke, cv2.LINE_AA)
    start = right - _text_width(percent, scale)
    cv2.putText(image, percent, (start, line), _FONT, scale, color, stroke, cv2.LINE_AA)
    middle, inset = foot - thick / 2 - round(2 * scale), thick / 2
    length = (right - left - 2 * inset) * min(max(probability, 0.0), 1.0)
    for end, shade in ((right - inset, TRACK), (left + inset + length, BEST if first else OTHER)):
        (x, y), stop = (round(value * 2**_SHIFT) for value in (left + inset, middle)), round(end * 2**_SHIFT)
        cv2.line(image, (x, y), (stop, y), shade, thick, cv2.LINE_AA, _SHIFT)


def _draw_panel(image: NDArray[np.uint8], box: tuple[int, int, int, int], radius: int) -> None:
    """Darken a box with round corners."""
    left, top, right, bottom = box
    part = image[top:bottom, left:right]
    if not part.size:
        return
    rows, columns = part.shape[:2]
    radius = min(radius, rows // 2, columns // 2)
    before = part.copy()
    part[...] = cv2.addWeighted(before, 1 - OPACITY, np.full_like(before, PANEL), OPACITY, 0)
    # A quarter of a disk is dark in each corner; the rest of it is as before.
    disk = np.zeros((2 * radius, 2 * radius, 3), np.uint8)
    cv2.circle(disk, (radius, radius), max(radius - 1, 0), (255, 255, 255), cv2.FILLED, cv2.LINE_AA)
    ends = slice(0, radius), slice(-radius, None)
    for corner in [(down, across) for down in ends for across in ends if radius]:
        share = disk[corner] / np.float32(255)
        part[corner] = (part[corner] * share + before[corner] * (1 - share) + 0.5).astype(np.uint8)


def _panel_width(rows: list[tuple[str, str, Any]], scale: float) -> int:
    """Compute the width that the longest row needs, with its margins."""
    margin = round(12 * scale) + 2
    gap = round(34 * scale)
    widest = max(_text_width(name, scale) + _text_width(percent, scale) for name, percent, _ in rows)
    return max(widest + gap + 2 * margin, round(300 * scale))


def _step(scale: float) -> int:
    """Compute the height of one row with its bar."""
    return round(50 * scale) + 3


def _printable(name: str) -> str:
    # OpenCV kills the process for text that is not UTF-8.
    return name.encode(errors="replace").decode()


def _text_width(text: str, scale: float) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, max(round(1.6 * scale), 1))
    return int(width)
