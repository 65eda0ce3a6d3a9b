"""Detection: a whole image in, boxes of objects out.

The picture keeps its proportions in the upper left of the input. What the network returns is read by the decoder of
its architecture (`edgehr.tasks.detection.decoders`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.opencv import cv2
from edgehr.runtimes.base import Runtime
from edgehr.tasks.base import Outputs, PartSpec, Task
from edgehr.tasks.detection.decoders import DECODERS
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.tasks.difference import OutputDifference, output_difference
from edgehr.tasks.image.letterbox import Letterbox
from edgehr.tasks.image.reading import as_bgr

SCORE_THRESHOLD = 0.2  # of candidates that count where two models are compared

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class BoxDifference(OutputDifference):
    """Differences between the raw outputs of two detectors, and between the boxes of the same places.

    They are taken before non-maximum suppression, so that each box of the one has its counterpart in the other.

    Attributes:
        boxes_largest: Largest difference of a side of the boxes that the first model scores above 0.2, input pixels.
        boxes_mean: Mean of those differences; NaN where there is no such box.
        scores_largest: Largest difference between the scores of those boxes.
        boxes: How many those are.
    """

    boxes_largest: float
    boxes_mean: float
    scores_largest: float
    boxes: int

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Give headers and rows to print."""
        _, rows = super().table()
        moved = (f"{self.boxes_mean:.3f}", f"{self.boxes_largest:.3f}", self.boxes)
        scores = ("", f"{self.scores_largest:.4f}", "")
        columns = zip(rows, moved, scores, strict=True)
        return ["", "OUTPUT (std of A)", "BOXES (input pixels)", "SCORES"], [
            [*row, box, score] for row, box, score in columns
        ]

    def __str__(self) -> str:
        moved = (
            f"{self.boxes} candidate boxes move {self.boxes_mean:.3f} input pixels on average, "
            f"{self.boxes_largest:.3f} at most, and their scores {self.scores_largest:.4f} at most"
            if self.boxes
            else "nothing is found"
        )
        return f"{super().__str__()}; {moved}"


class DetectionTask(Task):
    """Pre- and post-processing of a detector.

    Args:
        card: A card of task ``detection`` and an architecture of `DECODERS`.
        threshold: Smallest score (0 to 1) of an object; None takes what suits the architecture, as `nms` does.
        nms: Of two boxes of a class that overlap by more than this intersection over union (0 to 1), the less certain
            is dropped.
        classes: Names of the classes to find; None for all.
    """

    spec_type = DetectionSpec
    evaluator = "edgehr.evaluation.detection.evaluator:DetectionEvaluator"
    predictor = "edgehr.live.predictors.detectors:open_detector"

    def __init__(
        self,
        card: ModelCard,
        threshold: float | None = None,
        nms: float | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__(card)
        self.spec = card.spec_as(DetectionSpec)
        self.decoder = DECODERS.get(card.architecture)(card)
        self.threshold = self.decoder.threshold if threshold is None else threshold
        self.nms = self.decoder.nms if nms is None else nms
        for name, value in (("threshold", self.threshold), ("nms", self.nms)):
            if not 0 <= value <= 1:
                raise EdgehrError(f"{name} of the detector must be 0 to 1, got {value}")
        names = self.spec.classes if classes is None else classes
        self.class_ids = np.array([self.spec.class_id(name) for name in names], np.int64)
        spec = card.input
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
        self._normalization = None if not mean.any() and (std == 1).all() else (mean, std)

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> tuple[Floats, Letterbox]:
        """Scale a picture into the network's input.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).
            boxes: None: a detector looks at the whole image.

        Returns:
            The input, float32 (1, 3, height, width) or channels last, as the card has it, and what `postprocess` takes
            with the output.

        Raises:
            TensorError: The image has another form, or boxes are given.
        """
        self._refuse_boxes(boxes)
        image, spec = as_bgr(image), self.card.input
        letterbox = Letterbox.of(image, spec.height, spec.width, within=self.spec.scale, rounded=self.spec.round_size)
        planes = cv2.split(letterbox.resize(image))
        columns, rows = letterbox.resized
        batch = np.full((1, 3, spec.height, spec.width), self.spec.letterbox, np.float32)
        for plane, part in zip(batch[0], planes if spec.color == "bgr" else planes[::-1], strict=True):
            plane[:rows, :columns] = part
        if self._normalization:
            mean, std = self._normalization
            batch = (batch - mean) / std
        if self.spec.pad_normalized:
            batch[:, :, rows:] = 0
            batch[:, :, :, columns:] = 0
        return np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if self._channels_last else batch, letterbox

    def infer(self, runtime: Runtime, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run a model on a batch, and the heads of a two-stage detector on the same regions of any picture."""
        outputs = super().infer(runtime, batch)
        return outputs | self.decoder.look_everywhere(runtime, outputs)

    def predict(
        self, runtime: Runtime, image: NDArray[Any], boxes: ArrayLike | None = None, *, flip: bool = False
    ) -> Detections:
        """Find objects in an image; see `Task.predict`."""
        if flip:
            self.average_flipped({}, {})
        batch, context = self.preprocess(image, boxes)
        return self._find(runtime.infer_batch(batch), context, runtime.parts)

    def postprocess(self, outputs: Outputs, context: Letterbox) -> Detections:
        """Turn the network's output into boxes of objects in image pixels. Two-stage detectors go by `predict` alone.

        Args:
            outputs: What the network returned for the one picture.
            context: What `preprocess` returned with the input.

        Raises:
            TensorError: An output is missing or of another form, or the detector has further graphs.
        """
        return self._find(outputs, context, {})

    def _find(self, outputs: Outputs, context: Letterbox, parts: Mapping[str, Runtime]) -> Detections:
        self._check(outputs, pictures=1)
        return self.decoder.detect(outputs, context, self.threshold, self.nms, self.class_ids, parts)

    def channels_last_outputs(self) -> tuple[str, ...]:
        """Name the features of a two-stage detector."""
        return self.decoder.channels_last_outputs()

    def part_specs(self) -> dict[str, PartSpec]:
        """Describe the heads of a two-stage detector."""
        return self.decoder.part_specs()

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of each output for one picture."""
        return self.decoder.output_shapes()

    @property
    def setting(self) -> dict[str, str]:
        """Give the thresholds."""
        return {"threshold": f"score {self.threshold:g}, non-maximum suppression {self.nms:g}"}

    def compare(self, outputs: Outputs, others: Outputs) -> BoxDifference:
        """Measure how far raw outputs and the boxes of the same places are apart; see `Task.compare`."""
        for each in (outputs, others):
            self._check(each)
        difference = output_difference(*(self.decoder.joined(each) for each in (outputs, others)))
        scores, other_scores = (self.decoder.scores(each).max(axis=-1) for each in (outputs, others))
        seen = scores > SCORE_THRESHOLD
        moved = np.abs(self.boxes(outputs) - self.boxes(others))[seen]
        return BoxDifference(
            **difference,
            boxes_largest=float(moved.max(initial=0)),
            boxes_mean=float(moved.mean()) if len(moved) else float("nan"),
            scores_largest=float(np.abs(scores - other_scores)[seen].max(initial=0)),
            boxes=len(moved),
        )

    def _check(self, outputs: Outputs, pictures: int | None = None) -> None:
        """Raise TensorError where outputs are missing or of another form, or not of so many pictures."""
        for name, shape in self.output_shapes().items():
            if name not in outputs:
                found = ", ".join(map(repr, outputs)) or "nothing"
                raise TensorError(f"{self.card.name} returns {name!r}, got {found}")
            count = pictures or len(outputs[name])
            if outputs[name].shape != (count, *shape):
                raise TensorError(
                    f"{self.card.name}: {name} must be {(count, *shape)}, got {outputs[name].shape}: the card's size, "
                    "strides, anchors or classes do not fit the graph"
                )

    def scores(self, outputs: Outputs) -> Floats:
        """Score objects of each wanted class at each place, (N, A, C) float32."""
        return self.decoder.scores(outputs)[..., self.class_ids]

    def boxes(self, outputs: Outputs) -> Floats:
        """Decode the box of each place, (N, A, 4) float32 xyxy, input pixels."""
        places = np.arange(len(self.decoder.places))
        pictures = len(outputs[self.card.outputs[0].name])
        return np.stack([self.decoder.boxes(outputs, picture, places) for picture in range(pictures)])
