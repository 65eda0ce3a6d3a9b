"""Finding people, faces and other objects in images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.live.drawing.detections import draw_detections
from edgehr.live.predictors.base import Predictor, enter_runtime
from edgehr.runtimes import Runtime
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import FACE, PERSON, DetectionSpec
from edgehr.tasks.detection.task import DetectionTask
from edgehr.zoo import DEFAULT_DETECTOR


class Detector(Protocol):
    """Anything that finds people or faces in one image: a `PersonDetector`, or a function of the application's own."""

    def __call__(self, image: NDArray[Any]) -> Detections:
        """Find people, or what else is looked for.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).

        Returns:
            Their boxes in image pixels.
        """


class ObjectDetector(Predictor[DetectionTask, Detections]):
    """A detection model, one inference a call. Safe to call from several threads.

    Args:
        model: A converted detector, or a runtime that is open already (it stays the caller's to close), of any batch,
            in any backend. None takes the one that ships with edgehr, which finds people.
        threshold: Smallest score of an object, 0 to 1; None takes what suits the model, as `nms` does.
        nms: Intersection over union (0 to 1) above which two boxes are taken for the same object.
        device: Where the model runs, as for `edgehr.load`.
        threads: Threads of one inference.
        card: What the model is, for a published ONNX file, which does not say it itself.
        classes: Names of the classes to find; None for all that the model knows.

    Attributes:
        kind: The one class that this detector is for; empty for any.

    Raises:
        EdgehrError: The model cannot be opened, is no detector of these classes, or takes another input than its card
            says.
    """

    packaged = DEFAULT_DETECTOR
    kind: ClassVar[str] = ""

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime | None = None,
        *,
        threshold: float | None = None,
        nms: float | None = None,
        device: str = "auto",
        threads: int | None = None,
        card: ModelCard | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        wanted = [self.kind] if self.kind and classes is None else classes
        if wanted is not None and not wanted:
            raise EdgehrError("name at least one class to find, or none for all that the model knows")
        super().__init__(
            model,
            lambda card: DetectionTask(card, threshold, nms, wanted),
            device=device,
            threads=threads,
            card=card,
        )
        size = self.card.input.height, self.card.input.width
        spec, expected = self.runtime.inputs[0], (*size, 3) if self.card.layout == "nhwc" else (3, *size)
        fits = len(spec.shape) == 4 and all(
            have in (None, want) for have, want in zip(spec.shape[1:], expected, strict=True)
        )
        if not fits:
            self.close()
            raise EdgehrError(
                f"the detector takes {spec}, but {self.card.name} is of {size[0]}x{size[1]}: is it another model?"
            )

    def __call__(self, image: NDArray[Any]) -> Detections:
        """Find objects.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).

        Returns:
            Their boxes in image pixels, the most certain first.

        Raises:
            TensorError: The image has another form.
        """
        return self.task.predict(self.runtime, image)

    def draw(self, image: NDArray[np.uint8], result: Detections) -> None:
        """Draw boxes, and masks and points where the model finds such, into an image, in place."""
        draw_detections(image, result)


class PersonDetector(ObjectDetector):
    """A detector that finds people; see `ObjectDetector`."""

    found = "people"
    kind = PERSON


class FaceDetector(ObjectDetector):
    """A detector that finds faces; see `ObjectDetector`."""

    found = "faces"
    packaged = ""
    kind = FACE


def open_detector(
    model: str | os.PathLike[str] | Runtime, *, device: str = "auto", threads: int | None = None, **options: Any
) -> ObjectDetector:
    """Open a detector as one of people or faces, if it knows nothing else, or else of all that it knows."""
    with ExitStack() as opened:
        runtime = enter_runtime(opened, model, device, threads)
        known = (options.get("card") or runtime.card).spec_as(DetectionSpec).classes
        kinds = ((PERSON, PersonDetector), (FACE, FaceDetector))
        kind = next((kind for name, kind in kinds if known == (name,)), ObjectDetector)
        detector = kind(runtime, **options)
        detector.owns(opened.pop_all())
    return detector


def open_for(
    predictor: Predictor[Any, Any],
    detector: str | os.PathLike[str] | Detector | None,
    kind: type[ObjectDetector],
    **options: Any,
) -> Detector | None:
    """Open the detector that a predictor looks through, to be closed together with it.

    Args:
        predictor: It is closed where the detector cannot be opened.
        detector: A converted model, or the name of a packaged one; what can be called already, or None, is returned as
            it is.
        kind: What a model is opened as.
        options: Further arguments of `kind`.
    """
    if detector is None or callable(detector):
        return detector
    try:
        opened = kind(detector, **options)
    except BaseException:
        predictor.close()
        raise
    predictor.owns(opened)
    return opened
