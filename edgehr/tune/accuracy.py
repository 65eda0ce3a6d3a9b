"""Measure the accuracy of a model, and how far another set of images might have changed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.dataset import Dataset
from edgehr.evaluation.pieces import Prediction, predict_in_pieces
from edgehr.progress import ProgressBar
from edgehr.runtimes import load
from edgehr.spread import Crew
from edgehr.spread.models import SentModel

GROUPS = 10


@dataclass(frozen=True)
class Accuracy:
    """Holds the quoted figure of a task's metric, 0 to 1.

    Attributes:
        value: Of all images.
        without: The same with one of ten groups of images left out, each in turn; fewer groups of fewer images.
    """

    value: float
    without: tuple[float, ...]

    def drop_from(self, reference: Accuracy) -> float:
        """Return how much less it is than another's, in points of 100."""
        return 100 * (reference.value - self.value)

    def drop_error(self, reference: Accuracy) -> float | None:
        """Estimate the standard error of that drop, in points: other images would give another one.

        By the delete-a-group jackknife on the pair (P. S. Kott: The delete-a-group jackknife. Journal of Official
        Statistics 17, 2001), so that what is hard for both models does not count. None where there are too few images.
        """
        drops = 100 * (np.array(reference.without) - np.array(self.without))
        drops = drops[np.isfinite(drops)]  # without some images nothing may be left to find
        if len(drops) < 2:
            return None
        return float(np.sqrt((len(drops) - 1) / len(drops) * np.square(drops - drops.mean()).sum()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"value": self.value, "without": list(self.without)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Accuracy:
        """Make one of what `to_dict` returned."""
        return cls(data["value"], tuple(data["without"]))


def measure_accuracy(
    path: Path, arithmetic: str | None, evaluator: Evaluator, dataset: Dataset, bar: ProgressBar, crew: Crew
) -> Accuracy:
    """Evaluate a model file.

    Args:
        path: Its main file.
        arithmetic: What to compute in; None for what it promises.
        evaluator: Of its task.
        dataset: The annotated images, on none of which it was calibrated.
        bar: Shows progress.
        crew: Who runs it.

    Raises:
        EdgehrError: It cannot be opened or run, or the images show nothing that its accuracy could be measured on.
    """
    work = Prediction(SentModel.of(str(path), crew), partial(load, precision=arithmetic, threads=crew.threads))
    with bar("evaluating", len(dataset)) as progress:
        results = list(predict_in_pieces(crew, work, evaluator, dataset, progress.advance))
    value = evaluator.score(dataset, results).accuracy
    if value != value:
        raise EdgehrError(f"{dataset.source}: shows nothing that accuracy could be measured on")
    groups = min(GROUPS, len(results)) if len(results) > 1 else 0
    return Accuracy(
        value,
        tuple(_score_without(evaluator, dataset, results, number, groups) for number in range(groups)),
    )


def _score_without(evaluator: Evaluator, dataset: Dataset, results: Sequence[Any], number: int, groups: int) -> float:
    """Score without every so-manieth image, so that neighbors, which are often alike, go to different groups."""
    rest = [result for place, result in enumerate(results) if place % groups != number]
    return evaluator.score(evaluator.without(dataset, dataset.images[number::groups]), rest).accuracy
