"""Masks of COCO files as people have them: checked entry by entry, and put into the form that COCO's evaluation takes.

That library rasterizes polygons as COCO does, but takes damaged masks for others, or ends the process.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import BoxAnnotations
from edgehr.evaluation.coco_file import Entry, as_number, wrong
from edgehr.notices import warn_once
from edgehr.tasks.coco import compressed_runs

# Polygons may reach so far beyond their picture, in parts of its longer side.
MAX_BEYOND = 1.0
LEAST_POINTS = 3  # of a polygon

Segmentation = dict[str, Any] | list[list[float]]


def with_masks(truth: BoxAnnotations, categories: Container[int]) -> BoxAnnotations:
    """Check the masks of a file's annotations.

    Polygons of fewer than three points are left out with a warning; an object without any other counts as missed.

    Args:
        truth: The file.
        categories: Those that count; what the others have does not matter.

    Returns:
        The file with masks, or as it was where some of its objects have none.

    Raises:
        EdgehrError: A mask is damaged, or of another size than its picture.
    """
    images = {image["id"]: image for image in truth.data["images"]}
    counted = [entry for entry in truth.data["annotations"] if entry["category_id"] in categories]
    without = sum(not entry.get("segmentation") for entry in counted)
    if without or not counted:
        if without < len(counted):
            warn_once(
                "evaluation",
                f"{truth.path}: {without} of {len(counted)} annotations have no mask: AP of masks is left out",
            )
        return truth
    lines, found = 0, []
    for entry in counted:
        image, mask = images[entry["image_id"]], entry["segmentation"]
        height, width = image["height"], image["width"]
        reader = _Reader(truth, entry, (height, width))
        if isinstance(mask, dict):
            checked: Segmentation = reader.runs(mask)
        else:
            polygons = reader.polygons(mask)
            checked = [each for each in polygons if len(each) >= 2 * LEAST_POINTS]
            lines += len(polygons) - len(checked)
            checked = checked or {"size": [height, width], "counts": compressed_runs(np.array([height * width]))}
        found.append({**entry, "segmentation": checked})
    if lines:
        warn_once("evaluation", f"{truth.path}: {lines} polygons have fewer than 3 points and are left out")
    return replace(truth, data={**truth.data, "annotations": found}, has_masks=True)


class _Reader:
    """Reads the mask of one annotation."""

    def __init__(self, truth: BoxAnnotations, entry: Entry, size: tuple[int, int]) -> None:
        self._path, self._size = truth.path, size
        # Annotations are numbered from 1 in the order of the file.
        self._where = f"annotations[{entry['id'] - 1}]"

    def polygons(self, value: Any) -> list[list[float]]:
        """Read lists of x, y, x, y, ...; a single one may stand by itself."""
        listed = value if isinstance(value, list) and all(isinstance(each, list) for each in value) else [value]
        return [self._polygon(each) for each in listed]

    def _polygon(self, value: Any) -> list[float]:
        numbers = [as_number(each) for each in value] if isinstance(value, list) else [None]
        if None in numbers or len(numbers) % 2:
            raise self._wrong("segmentation must be polygons, x, y, x, y, ... each, or run lengths", value)
        points = [each for each in numbers if each is not None]
        longest = max(self._size)
        if points and (min(points) < -MAX_BEYOND * longest or max(points) > (1 + MAX_BEYOND) * longest):
            raise self._wrong("segmentation reaches far beyond its picture: is it in pixels?", value)
        return points

    def runs(self, mask: dict[str, Any]) -> Segmentation:
        """Read run lengths, compressed or not."""
        height, width = self._size
        size = mask.get("size")
        if size != [height, width]:
            hint = " (width and height are exchanged)" if size == [width, height] else ""
            raise self._wrong(f"segmentation must be of its picture's size {[height, width]}{hint}", size)
        counts = mask.get("counts")
        if isinstance(counts, str):
            runs = _lengths(counts)
        else:
            numbers = [as_number(each) for each in counts] if isinstance(counts, list) else [None]
            whole = all(each is not None and each == int(each) for each in numbers)
            runs = np.array(numbers, np.int64) if whole else None
        if runs is None or not len(runs) or runs.min() < 0 or runs.sum() != height * width:
            raise self._wrong(f"counts of the segmentation must be run lengths of {height * width} pixels", counts)
        return {"size": [height, width], "counts": compressed_runs(runs)}

    def _wrong(self, what: str, value: Any) -> EdgehrError:
        return wrong(self._path, self._where, what, value)


def _lengths(text: str) -> NDArray[np.int64] | None:
    """Read what `compressed_runs` writes; None where it is no such text."""
    letters = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if not len(letters) or letters.min() < 0 or letters.max() > 63 or letters[-1] & 32:
        return None
    last = (letters & 32) == 0
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    places = np.arange(len(letters)) - np.repeat(starts, np.diff([*starts, len(letters)]))
    if places.max() > 11:  # more bits than a number has
        return None
    values = np.add.reduceat((letters & 31) << 5 * places, starts)
    values[(letters[last] & 16) > 0] -= 1 << 5 * (places[last][(letters[last] & 16) > 0] + 1)
    values[1::2], values[2::2] = values[1::2].cumsum(), values[2::2].cumsum()
    return values
