"""Masks of objects: what an instance segmentation network draws for each box, and how that comes into the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.coco import compressed_runs, mask_runs

Floats = NDArray[np.float32]
THRESHOLD = 0.5
ROWS = 256  # of a mask that are pasted at a time


@dataclass(frozen=True)
class Masks:
    """Masks of N objects in one picture. Only what lies in each object's box is held, a bit a pixel.

    Attributes:
        size: Height and width of the picture.
        windows: (N, 4) int64: left, top, right, bottom of the part of the picture that holds a mask, in whole pixels;
            right and bottom are outside.
        bits: The part of each mask, (rows, ceil(columns / 8)) uint8 each, as `numpy.packbits` packs rows.
    """

    size: tuple[int, int]
    windows: NDArray[np.int64]
    bits: tuple[NDArray[np.uint8], ...]

    @classmethod
    def of(cls, masks: NDArray[np.bool_]) -> Masks:
        """Pack masks (N, H, W) bool of the size of the picture."""
        windows = np.zeros((len(masks), 4), np.int64)
        for window, mask in zip(windows, masks, strict=True):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                window[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        parts = zip(masks, windows.tolist(), strict=True)
        bits = (np.packbits(mask[top:bottom, left:right], axis=1) for mask, (left, top, right, bottom) in parts)
        return cls((masks.shape[1], masks.shape[2]), windows, tuple(bits))

    def __len__(self) -> int:
        return len(self.bits)

    def part(self, number: int) -> NDArray[np.bool_]:
        """Unpack a mask inside its window, (rows, columns)."""
        left, _, right, _ = self.windows[number]
        return np.unpackbits(self.bits[number], axis=1, count=int(right - left)).astype(bool)

    def full(self, number: int) -> NDArray[np.bool_]:
        """Unpack a mask of the size of the picture, (H, W)."""
        left, top, right, bottom = self.windows[number]
        mask = np.zeros(self.size, bool)
        mask[top:bottom, left:right] = self.part(number)
        return mask

    def runs(self, number: int) -> NDArray[np.int64]:
        """Give the lengths of a mask's runs in the picture; see `edgehr.tasks.coco.mask_runs`."""
        left, top = self.windows[number, :2].tolist()
        return mask_runs(self.part(number), (left, top), self.size)

    def rle(self, *, compressed: bool = False) -> list[dict[str, Any]]:
        """Give each mask as COCO has it: ``{"size": [height, width], "counts": ...}``, a list or, compressed, text."""
        runs = map(self.runs, range(len(self)))
        size = list(self.size)
        return [{"size": size, "counts": compressed_runs(each) if compressed else each.tolist()} for each in runs]

    def overlap(self, number: int, others: Masks, other: int) -> float:
        """Compute the intersection over union of a mask and one of others in the same picture, 0 to 1.

        Two empty masks are alike, 1.
        """
        one, two = self.part(number), others.part(other)
        low = np.maximum(self.windows[number, :2], others.windows[other, :2])
        high = np.minimum(self.windows[number, 2:], others.windows[other, 2:])
        shared = 0
        if (high > low).all():
            (left, top), (right, bottom) = low - self.windows[number, :2], high - self.windows[number, :2]
            (x1, y1), (x2, y2) = low - others.windows[other, :2], high - others.windows[other, :2]
            shared = int(np.count_nonzero(one[top:bottom, left:right] & two[y1:y2, x1:x2]))
        union = int(one.sum()) + int(two.sum()) - shared
        return shared / union if union else 1.0

    @property
    def areas(self) -> NDArray[np.int64]:
        """Count the pixels of each mask, (N,)."""
        return np.array([self.part(number).sum() for number in range(len(self))], np.int64)

    def __getitem__(self, chosen: Any) -> Masks:
        """Pick some of the masks."""
        index = np.arange(len(self))[chosen]
        return Masks(self.size, self.windows[index], tuple(self.bits[number] for number in index))


def paste(probabilities: Floats, boxes: Floats, size: tuple[int, int]) -> Masks:
    """Bring the masks of boxes into the picture, as mmdetection does.

    Probabilities are interpolated at the centers of pixels, and fade to zero outside the outermost ones.

    Args:
        probabilities: (N, M, M), 0 to 1.
        boxes: (N, 4) xyxy, picture pixels; need not lie inside the picture. Those without area have empty masks.
        size: Height and width of the picture.
    """
    height, width = size
    found = [_paste_one(each, box, height, width) for each, box in zip(probabilities, boxes, strict=True)]
    windows = np.array([window for window, _ in found], np.int64).reshape(-1, 4)
    return Masks(size, windows, tuple(bits for _, bits in found))


def _paste_one(
    probabilities: Floats, box: Floats, height: int, width: int
) -> tuple[tuple[int, int, int, int], NDArray[np.uint8]]:
    columns, across = _interpolation(box[0], box[2], len(probabilities), width)
    rows, down = _interpolation(box[1], box[3], len(probabilities), height)
    cells = probabilities.astype(np.float64)
    bits = np.zeros((len(down), -(-len(across) // 8)), np.uint8)
    for start in range(0, len(down), ROWS):  # a large picture would take eight bytes a pixel
        block = (down[start : start + ROWS] @ cells @ across.T).astype(np.float32) >= np.float32(THRESHOLD)
        bits[start : start + ROWS] = np.packbits(block, axis=1)
    return (columns, rows, columns + len(across), rows + len(down)), bits


def _interpolation(start: np.float32, end: np.float32, cells: int, pixels: int) -> tuple[int, NDArray[np.float64]]:
    """Weigh the cells of a row of a mask for each pixel of its box's side.

    Returns:
        The first pixel, and the weights (n, cells) of n pixels.
    """
    first, last = (int(np.clip(value, 0, pixels)) for value in (np.floor(start), np.ceil(end)))
    if not end > start or last <= first:
        return 0, np.zeros((0, cells))
    centers = np.arange(first, last) + 0.5
    places = (centers - np.float64(start)) / (np.float64(end) - np.float64(start)) * cells - 0.5
    return first, np.clip(1 - np.abs(places[:, None] - np.arange(cells)), 0, None)
