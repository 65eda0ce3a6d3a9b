"""Task: what a model is for, in one place.

A task owns its part of the card, what goes into a network and what comes out of it, how real inputs for comparison and
calibration are made, how far two models are apart, and which evaluator judges them. The rest of edgehr asks the task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard, TaskSpec
from edgehr.errors import EdgehrError, TensorError
from edgehr.registry import TASKS
from edgehr.runtimes.base import Runtime
from edgehr.tasks.detection.spec import PERSON
from edgehr.tasks.difference import OutputDifference, output_difference
from edgehr.tasks.image.reading import Image

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class PartSpec:
    """A further graph of a model, which its task feeds.

    Attributes:
        input: Name of what it takes.
        shape: Shape of one item of that.
        outputs: Shape of one item of each of its outputs, by name.
        batch: Items an inference.
    """

    input: str
    shape: tuple[int, ...]
    outputs: Mapping[str, tuple[int, ...]]
    batch: int


class Task(ABC):
    """Pre- and post-processing of a model, and what conversion and calibration have to know of it.

    `edgehr.registry.TASKS` has the tasks by name; one of your own joins with ``TASKS.register(name, YourTask)``.

    Args:
        card: A card of this task.

    Attributes:
        spec_type: The task's part of a card.
        takes_boxes: Whether it looks at boxes in an image, or at the whole of it.
        boxes_hold: What its boxes hold, as a class of detectors: people, or faces.
        evaluator: The class that judges it on annotated images, ``module:Class``; empty where there is none.
        predictor: The class that predicts for images and streams, ``module:Class``; empty where there is none.
    """

    spec_type: ClassVar[type[TaskSpec]]
    takes_boxes: ClassVar[bool] = False
    boxes_hold: ClassVar[str] = PERSON
    evaluator: ClassVar[str] = ""
    predictor: ClassVar[str] = ""

    def __init__(self, card: ModelCard) -> None:
        card.spec_as(self.spec_type)
        self.card = card
        self._channels_last = card.layout == "nhwc"

    @staticmethod
    def for_card(card: ModelCard) -> Any:
        """Return the task that a card asks for.

        Raises:
            EdgehrError: It is unknown to this version.
        """
        return TASKS.get(card.task)(card)

    @abstractmethod
    def preprocess(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> tuple[NDArray[np.float32], Any]:
        """Make a network's input of an image.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).
            boxes: (N, 4) xyxy in image pixels to look at, for a task that takes boxes; None for the whole image.

        Returns:
            The batch, and what `postprocess` takes with the outputs.
        """

    @abstractmethod
    def postprocess(self, outputs: Outputs, context: Any) -> Any:
        """Turn what the network returned into the task's result, in image pixels.

        Args:
            outputs: By name.
            context: What `preprocess` returned with the batch.
        """

    @abstractmethod
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of each output for one input, in the card's layout."""

    def channels_last_outputs(self) -> tuple[str, ...]:
        """Name the outputs that have channels last whatever the card's layout is; most tasks have none."""
        return ()

    def part_specs(self) -> dict[str, PartSpec]:
        """Describe the further graphs of the model by name; most have none."""
        return {}

    @property
    def setting(self) -> dict[str, str]:
        """Give in words what results depend on besides the model, for lists of figures."""
        return {}

    def infer(self, runtime: Runtime, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run a model on a batch. A task whose models are several graphs with work between them does that work here."""
        return runtime.infer_batch(batch)

    def predict(
        self, runtime: Runtime, image: NDArray[Any], boxes: ArrayLike | None = None, *, flip: bool = False
    ) -> Any:
        """Go the whole way from an image to the task's result.

        Args:
            runtime: The model.
            image: As for `preprocess`.
            boxes: As for `preprocess`.
            flip: Average in the mirrored image (flip test).

        Raises:
            EdgehrError: The task has no flip test, or the model fails.
        """
        batch, context = self.preprocess(image, boxes)
        outputs = self.infer(runtime, batch)
        if flip:
            outputs = self.average_flipped(outputs, self.infer(runtime, self.mirror(batch)))
        return self.postprocess(outputs, context)

    def network_inputs(self, image: Image, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make real inputs, one a box, to compare models on and to calibrate with.

        A task that takes no boxes gets each as a picture of its own.

        Args:
            image: (H, W, 3) uint8 BGR.
            boxes: (N, 4) xyxy pixels.
        """
        if self.takes_boxes:
            return self.preprocess(image, boxes)[0]
        return np.concatenate([self.preprocess_part(image, box)[0] for box in boxes])

    def preprocess_part(self, image: Image, box: NDArray[np.float32]) -> tuple[NDArray[np.float32], Any]:
        """Make a network's input of a part of an image, and what `postprocess` takes with the outputs.

        A task that takes no boxes gets it as a picture of its own.

        Args:
            image: (H, W, 3) uint8 BGR.
            box: (4,) xyxy pixels.
        """
        if self.takes_boxes:
            return self.preprocess(image, box[None])
        height, width = image.shape[:2]
        x1, y1, x2, y2 = np.clip(box, 0, [width, height, width, height]).astype(int)
        return self.preprocess(image[y1:y2, x1:x2])

    def compare(self, outputs: Outputs, others: Outputs) -> OutputDifference:
        """Measure how far what a second model returned for the same inputs is from what the first did.

        Args:
            outputs: Of the first model, in the card's layout.
            others: Of the second.

        Raises:
            EdgehrError: They are not of the same shape.
        """
        return OutputDifference(**output_difference(outputs, others))

    def mirror(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Exchange left and right of a batch."""
        return np.ascontiguousarray(batch[:, :, ::-1] if self._channels_last else batch[..., ::-1])

    def average_flipped(self, outputs: Outputs, flipped: Outputs) -> dict[str, NDArray[Any]]:
        """Merge the outputs for a batch with those for its mirror image.

        Raises:
            EdgehrError: The task has no flip test.
        """
        raise EdgehrError(f"{self.card.name}: there is no flip test for {self.card.task}")

    # For tasks.

    def _refuse_boxes(self, boxes: ArrayLike | None) -> None:
        """Raise TensorError where a task that looks at whole images is given boxes."""
        if boxes is not None:
            raise TensorError(f"{self.card.name} looks at whole images, not at boxes in them")

    def _scale_and_bias(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what pixels of an input are multiplied by, and what is then taken away, in the card's layout."""
        shape = (1, 1, 3) if self._channels_last else (3, 1, 1)
        mean, std = (
            np.array(values, np.float32).reshape(shape) for values in (self.card.input.mean, self.card.input.std)
        )
        return np.reciprocal(std), mean / std

    def _output(self, outputs: Outputs) -> NDArray[Any]:
        """Pick the first output; raises TensorError where it is not there."""
        name = self.card.outputs[0].name
        if name not in outputs:
            raise TensorError(f"{self.card.name} returns {name!r}, got {', '.join(map(repr, outputs)) or 'nothing'}")
        return outputs[name]
