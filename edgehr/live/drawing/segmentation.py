"""Classes over images: colors, outlines and a legend; and the background out of focus."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError
from edgehr.live.drawing.canvas import canvas
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image
from edgehr.tasks.segmentation.segmentation import Segmentation
from edgehr.tasks.segmentation.spec import BACKGROUND, class_id

OPACITY = 0.55
MAX_NAMES = 12  # in a legend
LEAST_AREA = 0.001  # of a class in it: share of the image
STRIP, TEXT = 0.35, (245, 245, 245)  # how much light the legend leaves, and its text

# The blur's standard deviation, of the image's shorter side.
STRENGTH = 0.025
# Radius of the neighborhoods in which a mask follows the image's edges, of the shorter side, and the contrast (0 to 1)
# below which there is no edge.
REACH, CONTRAST = 0.01, 0.1


def draw_segmentation(
    image: NDArray[np.uint8], segmentation: Segmentation, *, opacity: float = OPACITY, legend: bool = True
) -> None:
    """Color the classes of an image, in place; the background stays as it is.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        segmentation: Of this image.
        opacity: Of the colors, 0 to 1.
        legend: Name the classes that take a thousandth of the image or more, twelve at most, in the upper left corner.

    Raises:
        TensorError: The image has another form or size, or is read-only.
    """
    _check_size(image, segmentation)
    colors = np.array(segmentation.palette, np.uint8)[:, ::-1]
    colored = np.array([name != BACKGROUND for name in segmentation.classes], np.uint8)
    classes = segmentation.class_map
    with canvas(image) as drawn:
        mixed = cv2.addWeighted(colors.take(classes, axis=0), opacity, drawn, 1 - opacity, 0)
        cv2.copyTo(mixed, colored.take(classes), drawn)
        edges = _edges(classes)
        drawn[edges] = drawn[edges] // 2 + 127  # lighter
        if legend:
            _draw_legend(drawn, segmentation)


def blur_background(
    image: NDArray[np.uint8], segmentation: Segmentation, name: str = "person", strength: float = STRENGTH
) -> None:
    """Put all but a class out of focus, in place, with soft edges.

    How much a pixel is blurred follows from how likely it is of the class; where the mask is coarser than the image it
    follows the image's edges. What is in focus does not shine into the blur around it.

    Args:
        image: What inference takes: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), also a view of another.
        segmentation: Of this image; of a model that returns classes only, edges are softened.
        name: The class that stays in focus.
        strength: Standard deviation of the blur, of the image's shorter side.

    Raises:
        EdgehrError: The model has no such class.
        TensorError: The image has another form or size, or is read-only.
    """
    _check_size(image, segmentation)
    class_id(segmentation.classes, name)
    with canvas(image) as drawn:
        focus = _focus(drawn, segmentation, name)[..., None]
        blurred = _blurred(drawn, 1 - focus, max(strength * min(drawn.shape[:2]), 0.5))
        drawn[...] = np.rint(blurred + focus * (drawn - blurred))


def _focus(image: Image, segmentation: Segmentation, name: str) -> NDArray[np.float32]:
    """Give the share (H, W) of each pixel that is in focus, 0 to 1."""
    radius = max(round(REACH * min(image.shape[:2])), 1)
    if segmentation.maps is None:
        share: Any = cv2.blur(segmentation.mask(name).astype(np.float32), (2 * radius + 1,) * 2)
    else:
        share = segmentation.probability(name)
    along_edges = _along_edges(share, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255, radius)
    along_edges = cv2.GaussianBlur(along_edges, (0, 0), radius / 3)  # without specks
    # Neither a ghost of the background nor holes in what is in focus.
    share = np.clip((along_edges - 0.2) / 0.6, 0, 1)
    smooth: NDArray[np.float32] = share * share * (3 - 2 * share)
    return smooth


def _along_edges(mask: NDArray[np.float32], guide: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Let a mask follow the edges of an image: in each neighborhood it is the best line through the image's values.

    He, Sun, Tang: Guided Image Filtering, ECCV 2010; the lines are found at a reduced size, which they hardly show
    (He, Sun: Fast Guided Filter, 2015).
    """
    factor = max(radius // 3, 1)
    small = max(mask.shape[1] // factor, 1), max(mask.shape[0] // factor, 1)
    size = (2 * (radius // factor) + 1,) * 2
    low_mask, low = (cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (mask, guide))
    mean_guide, mean_mask = cv2.blur(low, size), cv2.blur(low_mask, size)
    slope = (cv2.blur(low * low_mask, size) - mean_guide * mean_mask) / (
        cv2.blur(low * low, size) - mean_guide * mean_guide + CONTRAST**2
    )
    line = cv2.merge([cv2.blur(slope, size), cv2.blur(mean_mask - slope * mean_guide, size)])
    slope, offset = cv2.split(cv2.resize(line, mask.shape[::-1], interpolation=cv2.INTER_LINEAR))
    result: NDArray[np.float32] = slope * guide + offset
    return result


def _blurred(image: Image, share: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """Blur what of each pixel (share, 0 to 1, (H, W, 1)) is background, with none of what is not."""
    height, width = image.shape[:2]
    # At a reduced size, which a strong blur does not show and which is much quicker.
    factor = max(min(int(deviation / 2), 8), 1)
    small = max(width // factor, 1), max(height // factor, 1)
    weight = np.maximum(cv2.resize(share, small, interpolation=cv2.INTER_AREA), 1e-3)[..., None]
    light = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.float32) * weight
    light, weight = (cv2.GaussianBlur(each, (0, 0), deviation / factor) for each in (light, weight))
    blurred: NDArray[np.float32] = cv2.resize(
        light / weight[..., None], (width, height), interpolation=cv2.INTER_LINEAR
    )
    return blurred


def _edges(classes: NDArray[Any]) -> NDArray[np.bool_]:
    """Find the pixels right below or to the right of which another class begins."""
    edges = np.zeros(classes.shape, bool)
    edges[:-1] |= classes[:-1] != classes[1:]
    edges[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    return edges


def _draw_legend(image: Image, segmentation: Segmentation) -> None:
    """Name the classes on a dark strip in the upper left corner, the largest first."""
    areas = segmentation.areas
    names = [name for name in segmentation.present if areas[name] >= LEAST_AREA][:MAX_NAMES]
    scale = max(min(image.shape[:2]) / 1100, 0.4)
    row, side = round(30 * scale) + 2, round(16 * scale) + 2
    lines = [f"{name}  {100 * areas[name]:.1f} %" for name in names][: max(image.shape[0] // row - 1, 0)]
    if not lines:
        return
    text = [line.encode("ascii", "replace").decode() for line in lines]  # OpenCV's font has no more
    across = max(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] for line in text)
    strip = image[: row * len(text) + row // 2, : across + side + 3 * row // 2]
    strip[...] = cv2.convertScaleAbs(strip, alpha=STRIP)
    for place, (name, line) in enumerate(zip(names, text, strict=False)):
        middle = row * place + row * 3 // 4
        color = segmentation.palette[segmentation.classes.index(name)][::-1]
        top, left = middle - side // 2, row // 2
        cv2.rectangle(image, (left, top), (left + side, top + side), color, cv2.FILLED)
        cv2.rectangle(image, (left, top), (left + side, top + side), TEXT, 1)
        foot = (left + side + row // 2, middle + round(10 * scale))
        cv2.putText(image, line, foot, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)


def _check_size(image: NDArray[Any], segmentation: Segmentation) -> None:
    if image.shape[:2] != segmentation.class_map.shape:
        (height, width), (rows, columns) = segmentation.class_map.shape, image.shape[:2]
        raise TensorError(f"the segmentation is of an image of {width}x{height} pixels, not of {columns}x{rows}")
