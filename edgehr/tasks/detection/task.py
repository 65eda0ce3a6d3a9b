"""Finding people in a whole image: picture in, boxes out, for YOLOX networks.

Method and conventions are YOLOX's (Ge et al., YOLOX: Exceeding YOLO Series in 2021): the picture keeps its proportions
in the upper left of the input; each place of the network's grids (A in all, the finest grid first, row by row) gives
one box, its center as an offset from the place and its size as a logarithm, both in units of the grid's stride.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.image.reading import as_bgr

# Where YOLOX-nano misses as many people as it invents: on 100 images of COCO train2017, precision and recall are both
# 0.73 at an overlap of 0.5.
THRESHOLD = 0.4
NMS = 0.5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Letterbox:
    """How a picture was laid into the network's input.

    Attributes:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        scale: Input pixels per pixel of the picture.
    """

    width: int
    height: int
    scale: float


class DetectionTask:
    """Pre- and post-processing of a YOLOX network, for people only.

    Args:
        card: A card of task ``detection`` and architecture ``yolox``.
        threshold: Smallest score (0 to 1) of a person.
        nms: Of two boxes that overlap by more than this intersection over union (0 to 1), the less certain is dropped.
    """

    def __init__(self, card: ModelCard, threshold: float = THRESHOLD, nms: float = NMS) -> None:
        if card.task != "detection" or card.detection is None:
            raise EdgehrError(f"{card.name} is a model for {card.task}, not for detection")
        if card.architecture != "yolox" or card.layout != "nchw":
            raise EdgehrError(f"{card.name}: only yolox detectors, channels first, can be read")
        for name, value in (("threshold", threshold), ("nms", nms)):
            if not 0 <= value <= 1:
                raise EdgehrError(f"{name} of the detector must be 0 to 1, got {value}")
        self.card = card
        self.threshold = threshold
        self.nms = nms
        spec, detection = card.input, card.detection
        self._person = 5 + detection.person
        self._columns = 5 + len(detection.classes)
        self._letterbox = detection.letterbox
        self._places, self._strides = _places(spec.height, spec.width, detection.strides)
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
        self._normalize = None if not mean.any() and (std == 1).all() else (mean, std)

    def preprocess(self, image: NDArray[Any]) -> tuple[Floats, Letterbox]:
        """Scale a picture into the network's input.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).

        Returns:
            The input (1, 3, height, width) float32, and what `postprocess` takes with the output.

        Raises:
            TensorError: The image has another form.
        """
        image = as_bgr(image)
        height, width = image.shape[:2]
        spec = self.card.input
        scale = min(spec.height / height, spec.width / width)
        size = max(int(width * scale), 1), max(int(height * scale), 1)  # cut off, not rounded, as in YOLOX
        planes = cv2.split(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
        batch = np.full((1, 3, spec.height, spec.width), self._letterbox, np.float32)
        for plane, part in zip(batch[0], planes if spec.color == "bgr" else planes[::-1], strict=True):
            plane[: size[1], : size[0]] = part
        if self._normalize:
            mean, std = self._normalize
            batch = (batch - mean) / std
        return batch, Letterbox(width, height, scale)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], context: Letterbox) -> Detections:
        """Turn the network's output into boxes of people in image pixels.

        Args:
            outputs: What the network returned: its one output, (1, A, 5 + classes).
            context: What `preprocess` returned with the input.

        Raises:
            TensorError: The output is of another form.
        """
        raw = self._output(outputs)
        scores = self.scores(raw)[0]
        found = np.flatnonzero(scores >= self.threshold)
        boxes = self._decode(raw[0, found], found) / np.float32(context.scale)
        boxes = np.clip(boxes, 0, np.array([context.width, context.height] * 2, np.float32))
        # Boxes beside the picture have no area left; comparisons with NaN are false.
        whole = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes, scores = boxes[whole], scores[found[whole]]
        kept = _suppress(boxes, scores, self.threshold, self.nms)
        return Detections(boxes[kept], scores[kept])

    @property
    def output_shape(self) -> tuple[int, int]:
        """What the network returns for one picture: places A, and 5 + classes."""
        return len(self._places), self._columns

    def scores(self, raw: NDArray[Any]) -> Floats:
        """How likely each place holds a person: raw output (N, A, 5 + classes) -> (N, A) float32."""
        scores: Floats = raw[..., 4].astype(np.float32) * raw[..., self._person].astype(np.float32)
        return scores

    def boxes(self, raw: NDArray[Any]) -> Floats:
        """The box of each place: raw output (N, A, 5 + classes) -> (N, A, 4) float32 xyxy, pixels of the input."""
        return self._decode(raw, np.arange(raw.shape[1]))

    def _decode(self, rows: NDArray[Any], index: NDArray[np.intp]) -> Floats:
        """Boxes (..., n, 4) of raw rows (..., n, 5 + classes) at n places."""
        values, stride = rows[..., :4].astype(np.float32), self._strides[index, None]
        center = (values[..., :2] + self._places[index]) * stride
        with np.errstate(over="ignore"):  # becomes infinite and is clipped
            half = np.exp(values[..., 2:]) * (stride / 2)
        return np.concatenate([center - half, center + half], axis=-1)

    def _output(self, outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        name = self.card.outputs[0].name
        if name not in outputs:
            raise TensorError(f"{self.card.name} returns {name!r}, got {', '.join(map(repr, outputs)) or 'nothing'}")
        raw = outputs[name]
        if raw.shape != (1, *self.output_shape):
            raise TensorError(f"{name} must be {(1, *self.output_shape)}, got {raw.shape}")
        return raw


def _places(height: int, width: int, strides: tuple[int, ...]) -> tuple[Floats, Floats]:
    """The places of all grids: (A, 2) float32 x, y in units of the stride, and their strides (A,)."""
    grids = []
    for stride in strides:
        rows, columns = height // stride, width // stride
        y, x = np.divmod(np.arange(rows * columns), columns)
        grids.append(np.stack([x, y, np.full_like(x, stride)], axis=1))
    table = np.concatenate(grids).astype(np.float32)
    return table[:, :2].copy(), table[:, 2].copy()


def _suppress(boxes: Floats, scores: Floats, threshold: float, overlap: float) -> NDArray[np.intp]:
    """Non-maximum suppression: indices of the boxes that stay, the most certain first."""
    corner_and_size: Any = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    values: Any = scores  # OpenCV's type hints ask for lists, where arrays do and are faster
    kept = cv2.dnn.NMSBoxes(corner_and_size, values, threshold, overlap)
    return np.asarray(kept, np.intp).ravel()
