"""COCO's own evaluation, by faster-coco-eval."""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

from edgehr.errors import MissingDependencyError


def run_coco(
    truth: dict[str, Any], results: list[dict[str, Any]], kind: str, max_detections: list[int], **options: Any
) -> list[float]:
    """Compute COCO's figures.

    Args:
        truth: `images`, `annotations` and `categories` of a COCO file.
        results: COCO results.
        kind: ``keypoints`` or ``bbox``.
        max_detections: Results of one image that count, the best.
        options: Further arguments of the library's evaluation.

    Returns:
        The library's figures in its order, 0 to 1; NaN where there is nothing to find.

    Raises:
        MissingDependencyError: The evaluation library is not installed.
    """
    coco, evaluation = coco_library()
    with contextlib.redirect_stdout(io.StringIO()):  # the library prints its own table
        known = coco(copy.deepcopy(truth))
        run = evaluation(known, known.loadRes(results), kind, print_function=lambda *_: None, **options)
        run.params.maxDets = max_detections
        run.evaluate()
        run.accumulate()
        run.summarize()
    # The library gives -1 where there is nobody to find.
    return [float(value) if value >= 0 else float("nan") for value in run.stats]


def coco_library() -> tuple[Any, Any]:
    """Return the library's two classes; raises MissingDependencyError where it is not installed."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise MissingDependencyError("evaluation needs faster-coco-eval: pip install 'edgehr[eval]'") from None
    return COCO, COCOeval_faster
