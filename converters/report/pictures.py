"""Samples (people, say) with the results of two models over each other, where the task can draw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgehr.converters.report.results import Picture
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.dataset import ImageSample
from edgehr.opencv import cv2

# CSS colors of both results; told apart with color-blind eyes too (Okabe and Ito).
COLORS = ("#56b4e9", "#e69f00")
# What is shown, as quantiles of similarity, so that the worst is not hidden and the usual is seen.
RANKS = {"the least agreement": 0.0, "the lowest tenth": 0.1, "the median": 0.5, "the highest tenth": 0.9}
_JPEG_QUALITY = 85


def draw_ranks(
    label: str, evaluator: Evaluator, images: Sequence[ImageSample], first: Sequence[Any], second: Sequence[Any]
) -> list[Picture]:
    """Draw the samples at some ranks of similarity, the lowest first; none for a task that cannot draw them.

    Args:
        label: Of the second model.
        evaluator: Of the first model.
        images: The images.
        first: The first model's result for each image.
        second: The second model's.
    """
    found = [evaluator.similarities(*three) for three in zip(images, first, second, strict=True)]
    samples = [(image, number) for image, values in enumerate(found) for number in range(len(values))]
    similarity = np.concatenate(found)
    order = np.argsort(similarity, kind="stable")[: int((~np.isnan(similarity)).sum())]
    chosen: dict[int, str] = {}
    for rank, quantile in RANKS.items() if len(order) else ():
        chosen.setdefault(int(order[round(quantile * (len(order) - 1))]), rank)
    pictures = []
    for place, rank in chosen.items():
        image, number = samples[place]
        drawn = evaluator.draw_pair(images[image], number, first[image], second[image], COLORS)
        if drawn is not None:
            jpeg = bytes(cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])
            pictures.append(Picture(label, rank, float(similarity[place]), images[image].path.name, jpeg))
    return pictures
