"""The evaluator of classifiers: top-1 and top-5 accuracy, and agreement of the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Agreement, Evaluator, Metrics, Progress
from edgehr.evaluation.class_labels import read_class_labels
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.terms import Terms
from edgehr.plain_data import without_nan
from edgehr.runtimes.base import Runtime
from edgehr.tasks.classification.classification import Classification
from edgehr.tasks.classification.spec import ClassificationSpec

BATCH = 16  # images that are preprocessed before an inference: one of them, or of several on a GPU


@dataclass(frozen=True)
class ClassMetrics(Metrics):
    """Accuracy of a classifier, 0 to 1.

    Attributes:
        top1: Share of the images whose class is the most probable one.
        top5: Share of those whose class is among the five most probable; NaN for a model of five classes or fewer.
        images: Images evaluated.
        classes: Classes that they are of.
    """

    top1: float
    top5: float
    images: int
    classes: int

    @property
    def figures(self) -> dict[str, float]:
        """Give both by name."""
        return {"top-1": self.top1, "top-5": self.top5}

    @property
    def counted(self) -> str:
        """Say how many images were evaluated."""
        return f"{self.images} images of {self.classes} classes"


@dataclass(frozen=True)
class ClassAgreement(Agreement):
    """Two classifiers' agreement.

    Attributes:
        top1: Share of the images that both put into the same class, 0 to 1; NaN without images.
        probability_difference: Mean absolute difference of the probability that both give to the first's class.
        images: Images compared.
        accuracy: The second's accuracy with the first's classes taken as truth; None where it was not asked for.
    """

    top1: float
    probability_difference: float
    images: int
    accuracy: ClassMetrics | None = None

    @property
    def similarity(self) -> float:
        """Return the share of the same class."""
        return self.top1

    @property
    def metric(self) -> ClassMetrics | None:
        """Return the accuracy with the first classifier's classes as the truth."""
        return self.accuracy

    @property
    def rows(self) -> list[list[object]]:
        """Give both figures and, where it was asked for, how often A's class is among B's five best."""
        rows: list[list[object]] = [
            ["same class", f"{self.top1:.4f}", f"top-1 of {self.images} images"],
            ["probability", f"{self.probability_difference:.4f}", "mean difference for A's class"],
        ]
        if self.accuracy is not None and not math.isnan(self.accuracy.top5):
            rows.append(
                ["in top-5", f"{self.accuracy.top5:.4f}", "A's class among the five that B finds most probable"]
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        return {**without_nan(vars(self)), "accuracy": None if self.accuracy is None else self.accuracy.to_dict()}


class ClassEvaluator(Evaluator):
    """Judges classifiers on images whose class is known.

    Args:
        card: A card of task ``classification``.
    """

    at_once = BATCH
    terms = Terms(
        metric="Top-1 accuracy",
        points="top-1",
        similarity="top-1 agreement",
        similarity_meaning="Share of the images that it puts into the same class as the first.",
        relative_meaning="Top-1 accuracy, the truth being the classes of the first.",
    )

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self._spec = card.spec_as(ClassificationSpec)

    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        """Read a folder of class folders, or a file of labels; see `edgehr.evaluation.class_labels`.

        Of `max_samples` images, which are taken from all over the set, not the first: those are of one class.
        """
        if detections:
            raise EdgehrError(f"{detections}: {self.card.name} looks at whole images: leave detections out")
        found = read_class_labels(annotations, images, self._spec, self.card.name)
        if 0 < max_samples < len(found):
            found = [found[place] for place in np.linspace(0, len(found) - 1, max_samples).round().astype(int)]
        samples = [ImageSample.with_boxes(number, path, []) for number, (path, _) in enumerate(found)]
        return Dataset(samples, np.array([class_id for _, class_id in found], np.int64), str(annotations))

    def check_comparable(self, other: ModelCard) -> None:
        """Refuse a model of another task or with other classes."""
        super().check_comparable(other)
        if self._spec.classes != other.spec_as(ClassificationSpec).classes:
            raise EdgehrError(f"{self.card.name} and {other.name} know other classes: they cannot be compared")

    def predict(
        self, runtime: Runtime, images: Sequence[ImageSample], *, flip: bool = False, progress: Progress | None = None
    ) -> list[Classification]:
        """Classify images in batches; see `Evaluator.predict`."""
        found: list[Classification] = []
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            batch = np.concatenate([self.task.preprocess(image.read())[0] for image in part])
            outputs = self.task.infer(runtime, batch)
            if flip:
                outputs = self.task.average_flipped(outputs, self.task.infer(runtime, self.task.mirror(batch)))
            found += self.task.classifications(outputs)
            if progress:
                progress(len(part))
        return found

    def score(self, dataset: Dataset, results: Sequence[Classification]) -> ClassMetrics:
        """Compute top-1 and top-5 accuracy."""
        return _accuracy(dataset.truth[[image.image_id for image in dataset.images]], results)

    def similarities(self, image: ImageSample, first: Classification, second: Classification) -> NDArray[np.float64]:
        """Tell whether two results are of the same class: 1 or 0."""
        return np.array([float(first.best.class_id == second.best.class_id)])

    def agreement(
        self,
        images: Sequence[ImageSample],
        first: Sequence[Classification],
        second: Sequence[Classification],
        *,
        with_metric: bool = True,
    ) -> ClassAgreement:
        """Compare what two classifiers took the same images for."""
        if not first:
            return ClassAgreement(float("nan"), float("nan"), 0)
        truth = np.array([result.best.class_id for result in first], np.int64)
        metrics = _accuracy(truth, second)
        changes = [
            abs(float(one.probabilities[number]) - float(two.probabilities[number]))
            for number, one, two in zip(truth, first, second, strict=True)
        ]
        return ClassAgreement(metrics.top1, float(np.mean(changes)), len(first), metrics if with_metric else None)


def _accuracy(truth: NDArray[np.int64], results: Sequence[Classification]) -> ClassMetrics:
    ranks = np.array([_rank(result.probabilities, number) for result, number in zip(results, truth, strict=True)])
    many = bool(results) and len(results[0].names) > 5
    return ClassMetrics(
        float((ranks == 0).mean()) if len(ranks) else float("nan"),
        float((ranks < 5).mean()) if many else float("nan"),
        len(ranks),
        len(set(truth.tolist())),
    )


def _rank(probabilities: NDArray[np.float32], number: int) -> int:
    """Count the classes that come before one; of equal ones, which low precision has, the lower number comes first."""
    own = probabilities[number]
    return int((probabilities > own).sum() + (probabilities[:number] == own).sum())
