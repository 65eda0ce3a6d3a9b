"""Evaluator: how the models of a task are judged on annotated images."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import annotated_people
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.terms import Terms
from edgehr.plain_data import without_nan
from edgehr.registry import load_attribute
from edgehr.runtimes.base import Runtime
from edgehr.tasks.base import Task

_LOG = logging.getLogger("edgehr.evaluation")

# Called with the number of samples (people, images) that were done since the last call.
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Metrics(ABC):
    """Figures of accuracy, all 0 to 1.

    Attributes:
        decimals: How many are shown of a figure in hundredths.
    """

    decimals: ClassVar[int] = 1

    @property
    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Give the figures by the names that the field has for them, the one that is quoted first; NaN for none."""

    @property
    def kinds(self) -> dict[str, dict[str, float]]:
        """Give all figures by what they are of, where there is more than one kind of result: boxes, masks."""
        return {"": self.figures}

    @property
    @abstractmethod
    def counted(self) -> str:
        """Say in words what was evaluated: ``379 people in 126 images``."""

    @property
    def details(self) -> dict[str, float]:
        """Give the quoted figure of each class by its name, where there are classes; NaN for none."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        return without_nan(asdict(self))

    @property
    def headline(self) -> float:
        """Return the figure that is quoted."""
        return next(iter(self.figures.values()))

    @property
    def accuracy(self) -> float:
        """Return the quoted figure as one that rises with accuracy, 0 to 1."""
        return self.headline


@dataclass(frozen=True)
class Agreement(ABC):
    """How far two models agree on the same images, whatever the truth is."""

    @property
    @abstractmethod
    def similarity(self) -> float:
        """Return the mean similarity of their results, 0 to 1; NaN where nothing is compared."""

    @property
    @abstractmethod
    def metric(self) -> Metrics | None:
        """Return the metric with the first model's results as the truth; None where it was not asked for."""

    @property
    @abstractmethod
    def rows(self) -> list[list[object]]:
        """Give rows to print: a figure's name, its value, and what it is taken of."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""


class Evaluator(ABC):
    """Judges the models of a task: against annotations, and against each other.

    Args:
        card: The model.

    Attributes:
        terms: The field's words for what it measures.
        blindness: What a model does that finds nothing to compare, in words.
        at_once: How many images `predict` takes together: a data set is split between these alone, for equal results.
    """

    terms: ClassVar[Terms] = Terms()
    blindness = "finds nothing"
    at_once: ClassVar[int] = 1

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.task: Any = Task.for_card(card)

    @staticmethod
    def for_card(card: ModelCard) -> Evaluator:
        """Return the evaluator of a card's task.

        Raises:
            EdgehrError: The task is unknown, or has none.
        """
        address = Task.for_card(card).evaluator
        if not address:
            raise EdgehrError(f"{card.name}: there is no measure of accuracy for {card.task}")
        evaluator: Evaluator = load_attribute(address)(card)
        return evaluator

    @abstractmethod
    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        """Read annotations that suit the model.

        Args:
            annotations: The annotation file, or folder, as the task has it.
            images: The folder of its images; by default where such files have them.
            detections: A file of boxes to take in place of the annotated ones, for a task that takes boxes.
            max_samples: Stop after the images that hold so many samples; 0 takes all.

        Raises:
            EdgehrError: A file is missing or not what it should be, or does not suit the model.
        """

    def annotated(self, annotations: Path, images: Path | None = None) -> list[ImageSample]:
        """Give the images of an annotation file with the boxes to calibrate on; by default those of its people.

        Args:
            annotations: The file.
            images: The folder of its images; by default where such files have them.

        Raises:
            EdgehrError: A file is missing or not what it should be, or does not suit the model.
        """
        return annotated_people(annotations, images)

    @property
    def has_similarity(self) -> bool:
        """Tell whether the similarity of results is defined for this model."""
        return True

    def check_comparable(self, other: ModelCard) -> None:
        """Refuse another model whose results cannot be compared with this one's.

        Raises:
            EdgehrError: It is for another task, or finds other things.
        """
        if other.task != self.card.task:
            raise EdgehrError(
                f"{self.card.name} is a model for {self.card.task}, {other.name} for {other.task}: "
                "they cannot be compared"
            )

    def check_installed(self) -> None:  # noqa: B027 - not every metric needs a library
        """Raise MissingDependencyError where the library that computes the metric is not installed."""

    def predict(
        self, runtime: Runtime, images: Sequence[ImageSample], *, flip: bool = False, progress: Progress | None = None
    ) -> list[Any]:
        """Run a model on images and return the task's result for each.

        Args:
            runtime: The model.
            images: The images.
            flip: Average in the mirrored images.
            progress: Told of each image's number of samples.
        """
        found = []
        for image in images:
            boxes = image.boxes if self.task.takes_boxes else None
            found.append(self.task.predict(runtime, image.read(), boxes, flip=flip))
            if progress:
                progress(len(image.boxes) if self.task.takes_boxes else 1)
        return found

    @abstractmethod
    def score(self, dataset: Dataset, results: Sequence[Any]) -> Metrics:
        """Compare results, one an image, with the truth.

        Raises:
            MissingDependencyError: The evaluation library is not installed.
        """

    def evaluate(
        self, runtime: Runtime, dataset: Dataset, *, flip: bool = False, progress: Progress | None = None
    ) -> Metrics:
        """Run a model on a data set and compare its results with the truth."""
        self.check_installed()  # its absence is said now, not after the work
        _LOG.info("evaluating %s on %d images", self.card.name, len(dataset.images))
        groups = (dataset.images[at : at + self.at_once] for at in range(0, len(dataset.images), self.at_once))
        found = (self.predict(runtime, group, flip=flip, progress=progress) for group in groups)
        return self.score_as_they_come(dataset, chain.from_iterable(found))

    def score_as_they_come(self, dataset: Dataset, results: Iterable[Any]) -> Metrics:
        """Compare results, which may be made meanwhile, with the truth; raises as `score` does."""
        return self.score(dataset, list(results))

    def without(self, dataset: Dataset, left_out: Sequence[ImageSample]) -> Dataset:
        """Leave images out of a data set and of what is true of it."""
        numbers = {image.image_id for image in left_out}
        return replace(dataset, images=[image for image in dataset.images if image.image_id not in numbers])

    def of_crops(self, source: Path, images: Path | None, crops: Sequence[ImageSample]) -> Dataset | None:
        """Give what the annotations say of single crops, each of which counts as an image of its own.

        A task that looks at whole images finds these by their files; one that takes boxes has to override it.

        Args:
            source: The annotations, as for `read`.
            images: The folder of their images; by default where such files have them.
            crops: A box each, or none for a whole image.

        Returns:
            What is true of them, in their order; None where the annotations do not suit the model, or do not know all
            crops.

        Raises:
            EdgehrError: The annotations cannot be read.
        """
        if self.task.takes_boxes or any(len(crop.boxes) for crop in crops):
            return None
        dataset = self.read(source, images)
        known = {image.path.resolve(): image for image in dataset.images}
        found = [known.get(crop.path.resolve()) for crop in crops]
        chosen = [image for image in found if image is not None]
        return replace(dataset, images=chosen) if len(chosen) == len(crops) else None

    @abstractmethod
    def similarities(self, image: ImageSample, first: Any, second: Any) -> NDArray[np.float64]:
        """Compute the similarity of two results for one image: (N,) of its N samples, 0 to 1; NaN for none."""

    @abstractmethod
    def agreement(
        self, images: Sequence[ImageSample], first: Sequence[Any], second: Sequence[Any], *, with_metric: bool = True
    ) -> Agreement:
        """Compare the results of two models on the same images, the first's taken for the truth.

        Args:
            images: The images.
            first: The reference's results, image by image.
            second: The other's.
            with_metric: Compute the metric of the field too, which takes longer.
        """

    def draw_pair(
        self, image: ImageSample, number: int, first: Any, second: Any, colors: tuple[str, str]
    ) -> NDArray[np.uint8] | None:
        """Draw the results of two models for one sample of an image over each other.

        Args:
            image: The image.
            number: Of the sample, as `similarities` counts them.
            first: The reference's result for the image, drawn wide.
            second: The other's, drawn narrow and on top.
            colors: Of both, as in CSS: ``#rrggbb``.

        Returns:
            (H, W, 3) uint8 BGR; None for a task that has no picture of its results.
        """
        return None
