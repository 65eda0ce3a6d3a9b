"""An evaluation in pieces: images are shared among workers, and what they find is scored once.

A piece's images go through `Evaluator.predict` as all of them would, and no inference sees images of two pieces. So the
figures are those of one machine, to the last bit, where workers run the same arithmetic on the same kind of processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from edgehr.card import ModelCard
from edgehr.evaluation.base import Evaluator, Metrics, Progress
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.runtimes.base import Runtime
from edgehr.spread import Crew, Opened, in_order, spread
from edgehr.spread.models import SentModel, runs_on

# So many for each worker: one that is slow, or lost, keeps the others waiting for a small part of the whole at most.
PIECES_A_WORKER = 8


@dataclass(frozen=True)
class Images:
    """Holds the images of a piece."""

    samples: Sequence[ImageSample] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.samples[0].path} and {len(self.samples) - 1} more"


@dataclass(frozen=True)
class Prediction:
    """Runs a model on the images of pieces: what the workers of an evaluation do.

    Attributes:
        model: The model.
        opener: Opens it by the name that it has in the worker.
        card: What it is, with the options that were given; None for what it says itself.
        flip: As for `Evaluator.predict`.
    """

    model: SentModel
    opener: Callable[[str], Runtime]
    card: ModelCard | None = None
    flip: bool = False

    @contextmanager
    def open(self) -> Iterator[Opened[Images, list[Any]]]:
        """Open the model."""
        with self.model.there() as name, self.opener(name) as runtime:
            evaluator = Evaluator.for_card(self.card or runtime.card)
            yield Opened(lambda piece: evaluator.predict(runtime, piece.samples, flip=self.flip), runs_on(runtime))


def evaluate_in_pieces(
    crew: Crew, work: Prediction, evaluator: Evaluator, dataset: Dataset, progress: Progress | None = None
) -> Metrics:
    """Evaluate as `Evaluator.evaluate` does, with many workers.

    Args:
        crew: Who predicts.
        work: What they do.
        evaluator: Of the same card.
        dataset: The images and their truth.
        progress: As for `Evaluator.predict`.

    Raises:
        EdgehrError: As `Evaluator.evaluate`, or workers cannot be had.
    """
    evaluator.check_installed()
    return evaluator.score_as_they_come(dataset, predict_in_pieces(crew, work, evaluator, dataset, progress))


def predict_in_pieces(
    crew: Crew, work: Prediction, evaluator: Evaluator, dataset: Dataset, progress: Progress | None = None
) -> Iterator[Any]:
    """Give what `Evaluator.predict` returns for each image, as it comes; see `evaluate_in_pieces`."""
    images = dataset.images
    if crew.elsewhere:  # where a worker begins is another folder
        images = [replace(image, path=image.path.absolute()) for image in images]
    pieces = split(images, crew.size, evaluator.at_once)
    for piece, results in zip(pieces, in_order(spread(crew, work, pieces)), strict=True):
        if progress:
            progress(sum(len(each.boxes) if evaluator.task.takes_boxes else 1 for each in piece.samples))
        yield from results


def split(images: Sequence[ImageSample], workers: int, at_once: int = 1) -> list[Images]:
    """Split images into pieces of like size, between those that are predicted together alone."""
    groups = -(-len(images) // at_once)
    size = at_once * max(-(-groups // (workers * PIECES_A_WORKER)), 1)
    return [Images(images[start : start + size]) for start in range(0, len(images), size)]
