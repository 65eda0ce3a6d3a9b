"""Write what COCO results consist of: category ids, and masks as run-length encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, MissingDependencyError
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


def encoded_mask(mask: NDArray[np.bool_]) -> tuple[dict[str, Any], list[float]]:
    """Encode a mask (H, W) as COCO's run-length encoding.

    Returns:
        ``{"size": [height, width], "counts": "..."}``, compressed, and the mask's box x, y, width, height.

    Raises:
        MissingDependencyError: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval.core import mask as coco_mask
    except ImportError:
        raise MissingDependencyError("COCO's masks need faster-coco-eval: pip install 'edgehr[eval]'") from None
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    counts = encoded["counts"]
    box = [float(value) for value in coco_mask.toBbox(encoded)]
    size = [int(side) for side in encoded["size"]]
    return {"size": size, "counts": counts.decode() if isinstance(counts, bytes) else counts}, box
