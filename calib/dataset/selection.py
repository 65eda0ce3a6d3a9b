"""Selection of the crops to calibrate on: few, and as unlike each other as can be had."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.opencv import cv2
from edgehr.tasks.image.boxes import Windows
from edgehr.tasks.image.crops import cut_out
from edgehr.tasks.image.reading import Image

# Width / height of most pose networks' input. The selection is the same for all of them: models and targets that are
# compared were calibrated on the same people.
ASPECT = 0.75
CROP, THUMBNAIL = (48, 64), (12, 16)
# What one doubling of a person's size counts, in units of the full range of gray: a small person's crop is enlarged, so
# it is smooth where a large one's has texture.
OCTAVE = 0.1
# Closer than this is a duplicate. Different images of COCO are at least 0.05 apart and different people in
# them 0.075; one who walks is 0.03 to 0.09 from one frame of a 30 fps video to the next, and camera noise makes 0.005.
MIN_DISTANCE = 0.04

Floats = NDArray[np.float32]


def describe_crops(image: Image, boxes: Floats, scale: float = 1.0) -> Floats:
    """Describe how the crops of an image look, in numbers that can be compared.

    Args:
        image: (H, W, 3) BGR, which may have been reduced.
        boxes: (N, 4) xyxy, pixels of the image before that.
        scale: Factor by which it was reduced, 0.25 for a quarter of width and height.

    Returns:
        (N, 199): a thumbnail's luminance, mean and spread of each color, and the person's size, weighted so that the
        Euclidean distance is the root mean square of the difference in luminance (0 to 1) for crops that differ in
        nothing else.
    """
    windows = Windows.from_boxes(boxes * np.float32(scale), ASPECT)
    rows = [_look(planes) for planes in cut_out(image, windows, CROP, "affine")]
    octaves = np.log2(windows.size[:, 1:] / scale) * OCTAVE
    return np.concatenate([np.array(rows, np.float32).reshape(len(boxes), -1), octaves], axis=1).astype(np.float32)


def _look(planes: NDArray[np.uint8]) -> Floats:
    """Return luminance of a thumbnail, and mean and standard deviation of each color, all 0 to 1."""
    colors = planes.reshape(3, -1) / np.float32(255)
    gray = cv2.cvtColor(planes.transpose(1, 2, 0), cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, THUMBNAIL, interpolation=cv2.INTER_AREA)
    luminance = small.ravel() / np.float32(255)
    statistics = np.concatenate([colors.mean(axis=1), colors.std(axis=1)])
    # Each group counts by its mean square, not by how many numbers it has.
    return np.concatenate([luminance / np.sqrt(luminance.size), statistics / np.sqrt(statistics.size)])


def select_diverse(descriptors: Floats, ranks: NDArray[Any], max_crops: int) -> list[int]:
    """Select crops that are far from each other: farthest-point sampling, rank by rank.

    The method is Gonzalez's (Clustering to minimize the maximum intercluster distance, 1985), whose largest distance
    from any candidate to the nearest selected one is at most twice the least possible. It starts at the most ordinary
    crop. The same candidates in the same order give the same selection.

    Args:
        descriptors: (N, D), see `describe_crops`.
        ranks: (N,) whole numbers: no crop is selected before all of lower ranks are, or are near-equal to those.
        max_crops: How many to select.

    Returns:
        Indices of the selected ones, in the order of their selection; fewer than `max_crops` where the rest are
        near-equal to them.
    """
    if not len(descriptors):
        return []
    selected: list[int] = []
    away = -_distances(descriptors, descriptors.mean(axis=0))  # of the first one: nearest to the mean
    free = np.ones(len(descriptors), bool)
    while len(selected) < max_crops and free.any():
        candidates = np.flatnonzero(free & (ranks == ranks[free].min()))
        best = int(candidates[np.argmax(away[candidates])])
        distances = _distances(descriptors, descriptors[best])
        away = np.minimum(away, distances) if selected else distances
        selected.append(best)
        free &= away > MIN_DISTANCE
    return selected


def _distances(descriptors: Floats, point: Floats) -> Floats:
    # No matrix product: its sums may change with the number of threads.
    result: Floats = np.sqrt(np.square(descriptors - point).sum(axis=1))
    return result
