"""Classifying images, for applications: `edgehr.ImageClassifier`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.live.drawing.classes import draw_classes
from edgehr.live.predictors.base import Predictor
from edgehr.runtimes import Runtime
from edgehr.tasks.classification.classification import TOP, Classification
from edgehr.tasks.classification.task import ClassificationTask


class ImageClassifier(Predictor[ClassificationTask, Classification]):
    """Says what is in an image: the most probable classes. Safe to call from several threads.

    Args:
        model: A converted classifier, or a runtime that is open already (it stays the caller's to close), of any batch.
        top: How many classes a result lists, the most probable first.
        device: Where the model runs, as for `edgehr.load`.
        threads: Threads of one inference.

    Raises:
        EdgehrError: The model cannot be opened, is no classifier, or has more or fewer outputs than its card has
            classes.
    """

    found = "classes"

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime,
        *,
        top: int = TOP,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        super().__init__(model, lambda card: ClassificationTask(card, top), device=device, threads=threads)
        output, count = self.runtime.outputs[0], len(self.classes)
        if len(output.shape) != 2 or output.shape[1] not in (None, count):
            self.close()
            raise EdgehrError(
                f"the model returns {output}, but {self.card.name} names {count} classes: correct the card's classes"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Name the classes that the model tells apart, by their numbers."""
        return self.task.spec.classes

    def __call__(self, image: NDArray[Any]) -> Classification:
        """Classify one image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), of any size.

        Raises:
            TensorError: The image has another form, or the model returned values that are not finite.
        """
        batch, context = self.task.preprocess(image)
        return self.task.postprocess(self.runtime.infer_batch(batch), context)

    def batch(self, images: Sequence[NDArray[Any]]) -> list[Classification]:
        """Classify several images with as few inferences as the model allows.

        That is quicker than one after the other on a GPU, and with a model of a fixed batch; on a CPU it hardly is. All
        inputs are in memory at once: 0.6 MB for an image of 224x224.

        Args:
            images: Each as for a call, of any sizes.

        Returns:
            A result for each image, in their order.
        """
        if not images:
            return []
        batch = np.concatenate([self.task.preprocess(image)[0] for image in images])
        return self.task.classifications(self.runtime.infer_batch(batch))

    def draw(self, image: NDArray[np.uint8], result: Classification) -> None:
        """Draw a panel of the most probable classes into an image, in place."""
        draw_classes(image, result)
