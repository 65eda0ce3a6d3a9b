"""People by a YOLOX network."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.runtimes.base import Runtime
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.task import NMS, THRESHOLD, DetectionTask


class YoloxDetector:
    """Finds people in an image, one inference a call. A `Detector`; safe to call from several threads.

    Args:
        runtime: A YOLOX network of any batch, in any backend. It belongs to the detector, whose `close` closes it.
        card: Its card (`runtime.artifact.card` of an artifact; a published ONNX file brings none).
        threshold: Smallest score of a person, 0 to 1.
        nms: Intersection over union (0 to 1) above which two boxes are taken for the same person.

    Raises:
        EdgehrError: The card is not a YOLOX detector's, or the model takes another input than the card says.
    """

    def __init__(self, runtime: Runtime, card: ModelCard, threshold: float = THRESHOLD, nms: float = NMS) -> None:
        self.task = DetectionTask(card, threshold, nms)
        self.card = card
        self.runtime = runtime
        spec = runtime.inputs[0]
        if spec.shape[1:] != (3, card.input.height, card.input.width):
            raise EdgehrError(
                f"the detector takes {spec}, but {card.name} is of {card.input.height}x{card.input.width}: "
                "is it another model?"
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

    def close(self) -> None:
        """Release the model. Closing twice is fine."""
        self.runtime.close()

    def __enter__(self) -> YoloxDetector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
