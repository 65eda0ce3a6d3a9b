"""Finding people in images."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.live.drawing.boxes import draw_boxes
from edgehr.live.predictors.base import Predictor
from edgehr.runtimes import Runtime
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import PERSON
from edgehr.tasks.detection.task import NMS, THRESHOLD, DetectionTask


class Detector(Protocol):
    """Anything that finds people in one image: a `PersonDetector`, or a function of the application's own."""

    def __call__(self, image: NDArray[Any]) -> Detections:
        """Find people.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).

        Returns:
            Their boxes in image pixels.
        """


class PersonDetector(Predictor[DetectionTask, Detections]):
    """A detection model that finds people, one inference a call. Safe to call from several threads.

    Args:
        model: A converted YOLOX network, or a runtime that is open already (it stays the caller's to close), of any
            batch, in any backend.
        threshold: Smallest score of a person, 0 to 1.
        nms: Intersection over union (0 to 1) above which two boxes are taken for the same person.
        device: Where the model runs, as for `edgehr.load`.
        threads: Threads of one inference.
        card: What the model is, for a published ONNX file, which does not say it itself.

    Raises:
        EdgehrError: The model cannot be opened, is no detector, or takes another input than its card says.
    """

    found = "people"

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime,
        *,
        threshold: float = THRESHOLD,
        nms: float = NMS,
        device: str = "auto",
        threads: int | None = None,
        card: ModelCard | None = None,
    ) -> None:
        super().__init__(
            model,
            lambda card: DetectionTask(card, threshold, nms, classes=(PERSON,)),
            device=device,
            threads=threads,
            card=card,
        )
        spec, size = self.runtime.inputs[0], (self.card.input.height, self.card.input.width)
        if spec.shape[1:] != (3, *size):
            self.close()
            raise EdgehrError(
                f"the detector takes {spec}, but {self.card.name} is of {size[0]}x{size[1]}: is it another model?"
            )

    def __call__(self, image: NDArray[Any]) -> Detections:
        """Find people.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).

        Returns:
            Their boxes in image pixels, the most certain first.

        Raises:
            TensorError: The image has another form.
        """
        batch, context = self.task.preprocess(image)
        return self.task.postprocess(self.runtime.infer_batch(batch), context)

    def draw(self, image: NDArray[np.uint8], result: Detections) -> None:
        """Draw boxes into an image, in place."""
        draw_boxes(image, result, (PERSON,))
