"""Write what COCO results consist of: category ids, and masks as run-length encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.tasks.detection.spec import COCO_CATEGORIES

PERSON_CATEGORY = 1


def category_ids(classes: Sequence[str], categories: Mapping[str, int] | None) -> dict[int, int]:
    """Find the category ids of a model's classes.

    Args:
        classes: Their names, by number.
        categories: The id of each name; None for COCO's own.

    Returns:
        The category id of each class, by its number; those without a category are left out.

    Raises:
        EdgehrError: No class has a category, so that there would never be a result.
    """
    known = COCO_CATEGORIES if categories is None else categories
    found = {number: known[name] for number, name in enumerate(classes) if name in known}
    if not found:
        if not classes:
            raise EdgehrError("the classes of these results have no names, and so no categories: name them (classes=)")
        where = "COCO's categories" if categories is None else "the categories given"
        raise EdgehrError(
            f"none of the classes is among {where}: give the ids of your file, categories={{{classes[-1]!r}: ...}}"
        )
    return found


def corner_and_size(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Write boxes (N, 4) x1, y1, x2, y2 as COCO does: x, y, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def mask_runs(
    mask: NDArray[np.bool_], corner: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None
) -> NDArray[np.int64]:
    """Give the lengths of a mask's runs: of pixels outside and inside of it in turn, column by column.

    Args:
        mask: (h, w), a part of the picture outside of which there is nothing.
        corner: The part's left and top in the picture, pixels.
        size: Height and width of the picture; None where the part is all of it.

    Returns:
        Lengths whose sum is the picture's pixels. The first is outside and may be 0.
    """
    (left, top), (height, width) = corner, size or mask.shape
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    columns[:, 1:-1] = mask.T
    column, row = np.nonzero(np.diff(columns, axis=1))  # where runs begin and end, in turn
    places = (left + column) * height + top + row
    # A run that ends where the next begins goes on from one column to the next.
    joined = np.zeros(len(places), bool)
    joined[1:-1:2] = places[1:-1:2] == places[2::2]
    joined[2::2] = joined[1:-1:2]
    lengths: NDArray[np.int64] = np.diff(places[~joined], prepend=0, append=height * width).astype(np.int64)
    return lengths if lengths[-1] or len(lengths) == 1 else lengths[:-1]


def compressed_runs(runs: NDArray[np.int64]) -> str:
    """Write the lengths of runs as COCO does: differences to the run two before, in letters of five bits each."""
    values = runs.copy()
    values[3:] -= runs[1:-2]
    rows, more = [], np.ones(len(values), bool)
    while more.any():
        low, values = values & 31, values >> 5
        # The highest of the last five bits is the sign of what is left.
        last = np.where(low & 16, values == -1, values == 0)
        rows.append(np.where(more, low + 32 * ~last + 48, 0))
        more &= ~last
    letters = np.array(rows, np.uint8).T
    return letters[letters > 0].tobytes().decode()


def encoded_mask(mask: NDArray[np.bool_]) -> tuple[dict[str, Any], list[float]]:
    """Encode a mask (H, W) as COCO's run-length encoding.

    Returns:
        ``{"size": [height, width], "counts": "..."}``, compressed, and the mask's box x, y, width, height.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    (top, bottom), (left, right) = (
        (int(each[0]), int(each[-1]) + 1) if len(each) else (0, 0) for each in (rows, columns)
    )
    box = [float(value) for value in (left, top, right - left, bottom - top)]
    return {"size": list(mask.shape), "counts": compressed_runs(mask_runs(mask))}, box
