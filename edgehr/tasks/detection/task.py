"""Detection: a whole image in, boxes of objects out, for YOLOX networks.

Method and conventions are YOLOX's (Ge et al., YOLOX: Exceeding YOLO Series in 2021): the picture keeps its proportions
in the upper left of the input; each place of the network's grids (A in all, the finest grid first, row by row) gives
one box, its center as an offset from the place and its size as a logarithm, both in units of the grid's stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.opencv import cv2
from edgehr.tasks.base import Outputs, Task
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.tasks.difference import OutputDifference, output_difference
from edgehr.tasks.image.letterbox import Letterbox
from edgehr.tasks.image.reading import as_bgr

# Where YOLOX-nano misses as many people as it invents: on 100 images of COCO train2017, precision and recall are both
# 0.73 at an overlap of 0.5.
THRESHOLD = 0.4
NMS = 0.5
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
    """Pre- and post-processing of a YOLOX network.

    Args:
        card: A card of task ``detection`` and architecture ``yolox``.
        threshold: Smallest score (0 to 1) of an object.
        nms: Of two boxes of a class that overlap by more than this intersection over union (0 to 1), the less certain
            is dropped.
        classes: Names of the classes to find; None for all.
    """

    spec_type = DetectionSpec
    evaluator = "edgehr.evaluation.boxes:BoxEvaluator"
    predictor = "edgehr.live.predictors.person_detector:PersonDetector"

    def __init__(
        self, card: ModelCard, threshold: float = THRESHOLD, nms: float = NMS, classes: Sequence[str] | None = None
    ) -> None:
        super().__init__(card)
        self.spec = card.spec_as(DetectionSpec)
        if card.architecture != "yolox" or self._channels_last:
            raise EdgehrError(f"{card.name}: only yolox detectors, channels first, can be read")
        for name, value in (("threshold", threshold), ("nms", nms)):
            if not 0 <= value <= 1:
                raise EdgehrError(f"{name} of the detector must be 0 to 1, got {value}")
        self.threshold = threshold
        self.nms = nms
        names = self.spec.classes if classes is None else classes
        self.class_ids = np.array([self.spec.class_id(name) for name in names], np.int64)
        spec = card.input
        self._grid, self._strides = _grid(spec.height, spec.width, self.spec.strides)
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
        self._normalization = None if not mean.any() and (std == 1).all() else (mean, std)

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> tuple[Floats, Letterbox]:
        """Scale a picture into the network's input.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).
            boxes: None: a detector looks at the whole image.

        Returns:
            The input (1, 3, height, width) float32, and what `postprocess` takes with the output.

        Raises:
            TensorError: The image has another form, or boxes are given.
        """
        if boxes is not None:
            raise TensorError(f"{self.card.name} looks at whole images, not at boxes in them")
        image, spec = as_bgr(image), self.card.input
        letterbox = Letterbox.of(image, spec.height, spec.width)
        planes = cv2.split(letterbox.resize(image))
        rows, columns = planes[0].shape
        batch = np.full((1, 3, spec.height, spec.width), self.spec.letterbox, np.float32)
        for plane, part in zip(batch[0], planes if spec.color == "bgr" else planes[::-1], strict=True):
            plane[:rows, :columns] = part
        if self._normalization:
            mean, std = self._normalization
            batch = (batch - mean) / std
        return batch, letterbox

    def postprocess(self, outputs: Outputs, context: Letterbox) -> Detections:
        """Turn the network's output into boxes of objects in image pixels.

        Each place may hold an object of every class that it scores high enough; suppression is among boxes of a class.

        Args:
            outputs: What the network returned: its one output, (1, A, 5 + classes).
            context: What `preprocess` returned with the input.

        Raises:
            TensorError: The output is of another form.
        """
        raw, shape = self._output(outputs), (1, *self._shape)
        if raw.shape != shape:
            raise TensorError(f"{self.card.outputs[0].name} must be {shape}, got {raw.shape}")
        all_scores = self.scores(raw)[0]
        found, columns = np.nonzero(all_scores >= self.threshold)
        class_ids, scores = self.class_ids[columns], all_scores[found, columns]
        boxes = context.to_image(self._decode(raw[0, found], found))
        # Boxes beside the picture have no area left; comparisons with NaN are false.
        whole = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        detections = Detections(boxes[whole], scores[whole], class_ids[whole])
        kept = [
            np.flatnonzero(detections.class_ids == class_id)[_suppress(of_class, self.threshold, self.nms)]
            for class_id in np.unique(detections.class_ids)
            if len(of_class := detections[detections.class_ids == class_id])
        ]
        order = np.concatenate([*kept, np.zeros(0, np.intp)])
        return detections[order[np.argsort(-detections.scores[order], kind="stable")]]

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of the candidates of one picture: A places, 5 + classes."""
        return {self.card.outputs[0].name: self._shape}

    @property
    def setting(self) -> dict[str, str]:
        """Give the thresholds."""
        return {"threshold": f"score {self.threshold:g}, non-maximum suppression {self.nms:g}"}

    def compare(self, outputs: Outputs, others: Outputs) -> BoxDifference:
        """Measure how far raw outputs and the boxes of the same places are apart; see `Task.compare`."""
        difference = output_difference(outputs, others)
        one, two = (self._output(each).astype(np.float32) for each in (outputs, others))
        scores, other_scores = (self.scores(raw).max(axis=-1) for raw in (one, two))
        seen = scores > SCORE_THRESHOLD
        moved = np.abs(self.boxes(one) - self.boxes(two))[seen]
        return BoxDifference(
            **difference,
            boxes_largest=float(moved.max(initial=0)),
            boxes_mean=float(moved.mean()) if len(moved) else float("nan"),
            scores_largest=float(np.abs(scores - other_scores)[seen].max(initial=0)),
            boxes=len(moved),
        )

    def scores(self, raw: NDArray[Any]) -> Floats:
        """Score objects of each wanted class at each place: raw output (N, A, 5 + classes) -> (N, A, C) float32."""
        scores: Floats = raw[..., 4:5].astype(np.float32) * raw[..., 5 + self.class_ids].astype(np.float32)
        return scores

    def boxes(self, raw: NDArray[Any]) -> Floats:
        """Decode the box of each place: raw output (N, A, 5 + classes) -> (N, A, 4) float32 xyxy, input pixels."""
        return self._decode(raw, np.arange(raw.shape[1]))

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._grid), self.spec.num_outputs

    def _decode(self, rows: NDArray[Any], index: NDArray[np.intp]) -> Floats:
        """Decode boxes (..., n, 4) of raw rows (..., n, 5 + classes) at n places."""
        values, stride = rows[..., :4].astype(np.float32), self._strides[index, None]
        center = (values[..., :2] + self._grid[index]) * stride
        with np.errstate(over="ignore"):  # becomes infinite and is clipped
            half = np.exp(values[..., 2:]) * (stride / 2)
        return np.concatenate([center - half, center + half], axis=-1)


def _grid(height: int, width: int, strides: tuple[int, ...]) -> tuple[Floats, Floats]:
    """List the places of all grids: (A, 2) float32 x, y in units of the stride, and their strides (A,)."""
    grids = []
    for stride in strides:
        rows, columns = height // stride, width // stride
        y, x = np.divmod(np.arange(rows * columns), columns)
        grids.append(np.stack([x, y, np.full_like(x, stride)], axis=1))
    table = np.concatenate(grids).astype(np.float32)
    return table[:, :2].copy(), table[:, 2].copy()


def _suppress(detections: Detections, threshold: float, overlap: float) -> NDArray[np.intp]:
    """Suppress what is not the maximum of its surroundings: indices of the boxes that stay, the most certain first."""
    boxes, scores = detections.boxes, detections.scores
    corner_and_size: Any = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    values: Any = scores  # OpenCV's type hints ask for lists, where arrays do and are faster
    return np.asarray(cv2.dnn.NMSBoxes(corner_and_size, values, threshold, overlap), np.intp).ravel()
