"""People with the skeletons of two models over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.converters.report.results import Picture
from edgehr.evaluation.base import ImageSample
from edgehr.evaluation.keypoint_ap import KEYPOINT_THRESHOLD
from edgehr.tasks.image.reading import read_image
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import KeypointSet

# CSS; told apart with color-blind eyes too (Okabe and Ito).
REFERENCE, OTHER = "#56b4e9", "#e69f00"
SHOWN = {"the least agreement": 0.0, "the lowest tenth": 0.1, "the median": 0.5, "the highest tenth": 0.9}

_HEIGHT = 384
_MARGIN = 0.2
_QUALITY = 85
_OUTLINE = (30, 30, 30)
_SHIFT = 4  # OpenCV draws with coordinates in 1/16 pixels

People = Sequence[tuple[ImageSample, Poses, Poses]]


def pictures(label: str, keypoints: KeypointSet, people: People, similarity: NDArray[np.float64]) -> list[Picture]:
    """Draw the people at some ranks of agreement, so that the worst is not hidden and the usual is seen.

    Args:
        label: Of the second model.
        keypoints: Their skeleton.
        people: Each image with the poses of the first and of the second model.
        similarity: (people,) OKS of all of them, in that order; NaN ones are not shown.
    """
    places = [(image, person) for image in people for person in range(len(image[1]))]
    order = np.argsort(similarity, kind="stable")[: int((~np.isnan(similarity)).sum())]
    chosen: dict[int, str] = {}
    for rank, share in SHOWN.items() if len(order) else ():
        chosen.setdefault(int(order[round(share * (len(order) - 1))]), rank)
    result = []
    for number, rank in chosen.items():
        (image, first, second), person = places[number]
        drawn = _draw(read_image(image.path), [poses[person : person + 1] for poses in (first, second)], keypoints)
        result.append(Picture(label, rank, float(similarity[number]), image.path.name, _jpeg(drawn)))
    return result


def _draw(image: NDArray[np.uint8], models: Sequence[Poses], keypoints: KeypointSet) -> NDArray[np.uint8]:
    """Cut the person out, bring it to one height, and draw both skeletons, the second thinner and on top."""
    left, top, right, bottom = _cut(image, models)
    scale = _HEIGHT / (bottom - top)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = max(round((right - left) * scale), 1), _HEIGHT
    canvas: NDArray[np.uint8] = cv2.resize(image[top:bottom, left:right], size, interpolation=way)
    for poses, color, width in zip(models, (REFERENCE, OTHER), (6, 2), strict=True):
        # In pixels of the enlarged picture, whose pixel centers lie at halves.
        points = (poses.keypoints[0] - (left, top) + 0.5) * scale - 0.5
        _skeleton(canvas, points, poses.scores[0] > KEYPOINT_THRESHOLD, keypoints, color, width)
    return canvas


def _cut(image: NDArray[np.uint8], models: Sequence[Poses]) -> tuple[int, int, int, int]:
    """The person's box with what both skeletons reach, within the image."""
    height, width = image.shape[:2]
    box = models[0].boxes[0].astype(np.float64)
    margin = _MARGIN * (box[2:] - box[:2])
    points = [box[:2] - margin, box[2:] + margin]
    points += [point for poses in models for point in poses.keypoints[0][poses.scores[0] > KEYPOINT_THRESHOLD]]
    low, high = np.floor(np.min(points, axis=0)), np.ceil(np.max(points, axis=0))
    left, top = (int(np.clip(value, 0, size - 1)) for value, size in zip(low, (width, height), strict=True))
    right, bottom = (int(np.clip(value, 1, size)) for value, size in zip(high, (width, height), strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _skeleton(
    image: NDArray[np.uint8],
    points: NDArray[Any],
    seen: NDArray[np.bool_],
    keypoints: KeypointSet,
    color: str,
    width: int,
) -> None:
    fixed = [(int(x), int(y)) for x, y in np.rint(np.clip(points, -1e4, 1e4) * 2**_SHIFT)]
    limbs = [(fixed[a], fixed[b]) for a, b in keypoints.skeleton if seen[a] and seen[b]]
    dots = [point for point, shown in zip(fixed, seen, strict=True) if shown]
    blue_green_red = tuple(int(color[place : place + 2], 16) for place in (5, 3, 1))
    for thickness, shade in ((width + 2, _OUTLINE), (width, blue_green_red)):
        for start, end in limbs:
            cv2.line(image, start, end, shade, thickness, cv2.LINE_AA, _SHIFT)
        for center in dots:
            cv2.circle(image, center, (thickness + 1) << (_SHIFT - 1), shade, -1, cv2.LINE_AA, _SHIFT)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(encoded)
