"""Windows: the parts of a scaled picture that a network of fixed input sees, and class maps put together from them.

The way of sliding is mmsegmentation's: windows of the input's size, evenly apart, the last one at the picture's edge;
logits are upsampled to each window's size, averaged where windows overlap, and upsampled to the picture's size. Class
by class, so that there is never more in memory than the logits as the network returned them and a few maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import InputSpec
from edgehr.opencv import cv2
from edgehr.tasks.segmentation.spec import LETTERBOX, STRETCH, SegmentationSpec

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Windows:
    """How a picture went into a network's input.

    Attributes:
        picture: Its height and width, pixels.
        scaled: Those of the scaled picture.
        size: Those of a window, the network's input. Where a window reaches over the scaled picture it is padded.
        tops: First rows of the windows in the scaled picture, ascending.
        lefts: Their first columns. There is a window for each pair, row by row.
        align_corners: Whether maps are upsampled with corners on corners.
    """

    picture: tuple[int, int]
    scaled: tuple[int, int]
    size: tuple[int, int]
    tops: tuple[int, ...] = (0,)
    lefts: tuple[int, ...] = (0,)
    align_corners: bool = False

    @classmethod
    def of(cls, height: int, width: int, spec: SegmentationSpec, inputs: InputSpec) -> Windows:
        """Lay a picture of height x width pixels into a network's input as its card says."""
        picture, size = (height, width), (inputs.height, inputs.width)
        if spec.fit == STRETCH:
            return cls(picture, size, size, align_corners=spec.align_corners)
        if spec.fit == LETTERBOX:
            scaled = _rescaled(picture, min(size[0] / height, size[1] / width))
            return cls(picture, scaled, size, align_corners=spec.align_corners)
        scaled, (long, short) = picture, spec.scale
        if long:
            scaled = _rescaled(picture, min(long / max(picture), short / min(picture)))
        tops, lefts = (_starts(*sides, spec.overlap) for sides in zip(scaled, size, strict=True))
        return cls(picture, scaled, size, tops, lefts, spec.align_corners)

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @property
    def padded(self) -> bool:
        """Tell whether windows reach over the scaled picture."""
        return self.scaled[0] < self.size[0] or self.scaled[1] < self.size[1]

    def parts(self) -> Iterator[tuple[slice, slice]]:
        """Give the rows and columns of the scaled picture that each window shows."""
        (height, width), (rows, columns) = self.size, self.scaled
        for top in self.tops:
            for left in self.lefts:
                yield slice(top, min(top + height, rows)), slice(left, min(left + width, columns))

    def merged(self, maps: NDArray[Any]) -> Floats:
        """Average a class's map of each window, (N, h, w), and upsample it to the picture's size."""
        if len(self) == 1:
            rows, columns = next(self.parts())
            scaled = self._resized(maps[0], self.size)[rows, columns]
        else:
            scaled, count = np.zeros(self.scaled, np.float32), np.zeros(self.scaled, np.float32)
            for window, (rows, columns) in zip(maps, self.parts(), strict=True):
                part = scaled[rows, columns]
                part += self._resized(window, self.size)[: part.shape[0], : part.shape[1]]
                count[rows, columns] += 1
            scaled /= count
        return self._resized(scaled, self.picture)

    def stitched(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Put the class maps of all windows, (N, h, w), together, in the picture's size.

        Numbers of classes cannot be averaged: where windows overlap, each gives the half that is nearer to its middle.
        """
        scaled = np.empty(self.scaled, labels.dtype)
        seams = (_seams(self.tops, self.size[0], self.scaled[0]), _seams(self.lefts, self.size[1], self.scaled[1]))
        remaining = iter(labels)
        for top, first, last in zip(self.tops, *seams[0], strict=True):
            for left, start, end in zip(self.lefts, *seams[1], strict=True):
                window = _nearest(next(remaining), self.size)
                scaled[first:last, start:end] = window[first - top : last - top, start - left : end - left]
        return _nearest(scaled, self.picture)

    def _resized(self, plane: NDArray[Any], size: tuple[int, int]) -> Floats:
        plane = np.ascontiguousarray(plane, np.float32)
        if plane.shape == size:
            return plane
        if self.align_corners:
            return _corners_on_corners(plane, size)
        resized: Floats = cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR)
        return resized


def _rescaled(picture: tuple[int, int], factor: float) -> tuple[int, int]:
    """Scale height and width and round them as mmcv does."""
    height, width = (max(int(side * factor + 0.5), 1) for side in picture)
    return height, width


def _starts(length: int, window: int, overlap: float) -> tuple[int, ...]:
    """Give the first pixel of each window along a side of the scaled picture."""
    stride = max(round(window * (1 - overlap)), 1)
    count = math.ceil(max(length - window, 0) / stride) + 1
    return tuple(max(min(number * stride, length - window), 0) for number in range(count))


def _seams(starts: tuple[int, ...], window: int, length: int) -> tuple[list[int], list[int]]:
    """Give the first pixel that each window along a side contributes, and the one behind its last."""
    middles = [(start + window + following) // 2 for start, following in pairwise(starts)]
    return [0, *middles], [*middles, length]


def _nearest(labels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if labels.shape == size:
        return labels
    resized: NDArray[Any] = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return resized


def _corners_on_corners(plane: Floats, size: tuple[int, int]) -> Floats:
    """Resize bilinearly with the centers of the corner pixels on each other, first the rows and then the columns."""
    for axis, length in enumerate(size):
        places = np.linspace(0, plane.shape[axis] - 1, length)
        before = np.minimum(places.astype(np.intp), max(plane.shape[axis] - 2, 0))
        after = np.minimum(before + 1, plane.shape[axis] - 1)
        share = (places - before).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        plane = plane.take(before, axis) * (1 - share) + plane.take(after, axis) * share
    return plane
