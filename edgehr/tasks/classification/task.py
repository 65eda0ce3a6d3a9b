"""Classification: a whole image in, the probability of each class out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.base import Outputs, Task
from edgehr.tasks.classification.classification import TOP, Classification
from edgehr.tasks.classification.spec import ClassificationSpec
from edgehr.tasks.difference import OutputDifference, output_difference
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.image.resizing import resize_and_crop

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ClassDifference(OutputDifference):
    """Differences between the raw outputs of two classifiers, and between what they take the same images for.

    Attributes:
        same: Share of the images that both put into the same class, 0 to 1.
        probability_largest: Largest difference of a probability.
    """

    same: float
    probability_largest: float

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Give headers and rows to print."""
        _, rows = super().table()
        classes = ("", f"{self.probability_largest:.4f}", f"{self.same:.1%} same class")
        headers = ["", "OUTPUT (std of A)", "PROBABILITIES"]
        return headers, [[*row, words] for row, words in zip(rows, classes, strict=True)]

    def __str__(self) -> str:
        return (
            f"{super().__str__()}; {self.same:.1%} are of the same class, probabilities differ by "
            f"{self.probability_largest:.4f} at most"
        )


class ClassificationTask(Task):
    """Pre- and post-processing of an image classifier.

    Args:
        card: A card of task ``classification``.
        top: How many classes a result lists.
    """

    spec_type = ClassificationSpec
    evaluator = "edgehr.evaluation.classes:ClassEvaluator"
    predictor = "edgehr.live.predictors.classifier:ImageClassifier"

    def __init__(self, card: ModelCard, top: int = TOP) -> None:
        super().__init__(card)
        if top < 1:
            raise EdgehrError(f"top must be at least 1, got {top}")
        self.spec, self.top = card.spec_as(ClassificationSpec), top
        size = card.input
        self._size, self._side = (size.height, size.width), self.spec.resized_side(size)
        mean, std = (np.array(values, np.float32) for values in (size.mean, size.std))
        self._scale, self._bias = np.reciprocal(std), mean / std

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> tuple[Floats, int]:
        """Resize an image, cut the middle out, and normalize it.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).
            boxes: None: a classifier looks at the whole image.

        Returns:
            The input (1, 3, height, width) float32, channels last where the card says so, and how many images it holds,
            which `postprocess` takes.

        Raises:
            TensorError: The image has another form, or boxes are given.
        """
        self._refuse_boxes(boxes)
        spec = self.spec
        crop = resize_and_crop(as_bgr(image), self._side, self._size, spec.interpolation, antialias=spec.antialias)
        pixels = (crop[..., ::-1] if self.card.input.color == "rgb" else crop) * self._scale - self._bias
        batch = pixels[None] if self._channels_last else pixels.transpose(2, 0, 1)[None]
        return np.ascontiguousarray(batch), 1

    def postprocess(self, outputs: Outputs, context: int) -> Classification:
        """Turn the network's output for one image into probabilities.

        Args:
            outputs: What the network returned: its one output, (1, classes).
            context: What `preprocess` returned with the input.

        Raises:
            TensorError: The output is of another form, or not finite.
        """
        results = self.classifications(outputs)
        if len(results) != context:
            raise TensorError(f"{self.card.outputs[0].name} must hold {context} image(s), got {len(results)}")
        return results[0]

    def classifications(self, outputs: Outputs) -> list[Classification]:
        """Turn the network's output (N, classes) for a batch into one result an image; raises as `postprocess` does."""
        return [Classification(each, self.spec.classes, self.top) for each in self.probabilities(outputs)]

    def probabilities(self, outputs: Outputs) -> Floats:
        """Compute the probability of each class: the network's output -> (N, classes) float32.

        Raises:
            TensorError: It is of another form, or not finite.
        """
        raw, count = self._output(outputs), len(self.spec.classes)
        if raw.ndim != 2 or raw.shape[1] != count:
            raise TensorError(
                f"{self.card.outputs[0].name} must be (N, {count}) for the card's {count} classes, got {raw.shape}: is "
                "the card's class list that of the model?"
            )
        values = raw.astype(np.float32)
        if not np.isfinite(values).all():
            raise TensorError(f"{self.card.name} returned values that are not finite: its weights or precision are bad")
        if self.spec.returns == "probabilities":
            return values
        powers = np.exp(values - values.max(axis=1, keepdims=True, initial=-np.inf))
        probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of the output for one image: a value a class."""
        return {self.card.outputs[0].name: (self.spec.num_outputs,)}

    @property
    def setting(self) -> dict[str, str]:
        """Name how images are resized."""
        spec = self.spec
        how = "filtered" if spec.antialias else "OpenCV"
        return {"resize": f"shorter side to {self._side}, {spec.interpolation}, {how}"}

    def compare(self, outputs: Outputs, others: Outputs) -> ClassDifference:
        """Measure how far raw outputs and probabilities are apart; see `Task.compare`."""
        difference = output_difference(outputs, others)
        one, two = self.probabilities(outputs), self.probabilities(others)
        return ClassDifference(
            **difference,
            same=float((one.argmax(axis=1) == two.argmax(axis=1)).mean()),
            probability_largest=float(np.abs(one - two).max(initial=0)),
        )

    def average_flipped(self, outputs: Outputs, flipped: Outputs) -> dict[str, NDArray[Any]]:
        """Average what the network returned for a batch and for its mirror image."""
        one, other = self._output(outputs), self._output(flipped)
        return {self.card.outputs[0].name: (one.astype(np.float32) + other.astype(np.float32)) / 2}
