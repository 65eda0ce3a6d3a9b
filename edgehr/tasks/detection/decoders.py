"""Decoders: how a detector's outputs become boxes, one module an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.registry import Registry
from edgehr.runtimes.base import Runtime
from edgehr.tasks.base import Outputs, PartSpec
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.tasks.detection.two_stage.boxes import suppress_by_group
from edgehr.tasks.image.letterbox import Letterbox

Floats = NDArray[np.float32]


class Decoder(ABC):
    """Reads what a detector returned.

    A network looks for objects at A places of its input: those of its grids, the finest first, row by row.

    Args:
        card: The detector.

    Attributes:
        threshold: Smallest score of an object, unless the user says otherwise.
        nms: Likewise the intersection over union above which the less certain of two boxes is dropped.
        evaluation_threshold: The threshold with which the authors evaluate.
        evaluation_nms: Likewise.
        max_detections: How many objects of a picture are returned, the surest; None for all.
    """

    threshold: ClassVar[float]
    nms: ClassVar[float]
    evaluation_threshold: ClassVar[float]
    evaluation_nms: ClassVar[float]
    max_detections: ClassVar[int | None] = None

    def __init__(self, card: ModelCard) -> None:
        self.spec = card.spec_as(DetectionSpec)
        self.names = [output.name for output in card.outputs]
        grids = []
        for stride in self.spec.strides:
            rows, columns = self.cells(card.input.height, stride), self.cells(card.input.width, stride)
            y, x = np.divmod(np.arange(rows * columns), columns)
            grids.append(np.stack([x, y, np.full_like(x, stride)], axis=1))
        table = np.concatenate(grids).astype(np.float32)
        self.places, self.strides = table[:, :2].copy(), table[:, 2:].copy()

    @staticmethod
    def check_strides(card: ModelCard, finest: int) -> None:
        """Raise EdgehrError for a card whose strides do not double from the finest one of the pyramid."""
        strides = card.spec_as(DetectionSpec).strides
        if strides != tuple(finest << level for level in range(len(strides))):
            listed = ", ".join(map(str, strides))
            raise EdgehrError(
                f"{card.name}: strides of {card.architecture} double from {finest}, the card has {listed}"
            )

    def cells(self, side: int, stride: int) -> int:
        """Count the places along a side of the input, in pixels, of the grid of a stride."""
        return side // stride

    @abstractmethod
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of each output for one picture."""

    def channels_last_outputs(self) -> tuple[str, ...]:
        """Name the outputs that have channels last in any layout; see `Task.channels_last_outputs`."""
        return ()

    def part_specs(self) -> dict[str, PartSpec]:
        """Describe the further graphs of the detector; see `Task.part_specs`."""
        return {}

    def look_everywhere(self, runtime: Runtime, outputs: Outputs) -> dict[str, NDArray[Any]]:
        """Run the further graphs on the same regions of any picture, to compare two models by what they return."""
        return {}

    def detect(
        self,
        outputs: Outputs,
        letterbox: Letterbox,
        threshold: float,
        nms: float,
        class_ids: NDArray[np.int64],
        parts: Mapping[str, Runtime],
    ) -> Detections:
        """Find objects in the one picture.

        Each place may hold an object of every class that it scores high enough; suppression is among boxes of a class.

        Args:
            outputs: What the main graph returned.
            letterbox: How the picture lies in the input.
            threshold: Smallest score of an object.
            nms: Of two boxes of a class that overlap by more, the less certain is dropped.
            class_ids: The classes to find.
            parts: The further graphs of the model.

        Returns:
            Objects in image pixels, the surest first. None is without area: beside the picture boxes have none.

        Raises:
            TensorError: A further graph that is needed is not there.
        """
        places, classes, scores = self.candidates(outputs, threshold)
        wanted = np.isin(classes, class_ids)
        places, classes, scores = places[wanted], classes[wanted], scores[wanted]
        boxes = letterbox.to_image(self.boxes(outputs, 0, places))
        scale: Floats = np.array(letterbox.scale, np.float32)
        points = np.divide(self.points(outputs, 0, places), scale, dtype=np.float32)
        found = Detections(boxes, scores, classes, points, self.spec.classes).with_area()
        return found[suppress_by_group(found.boxes, found.scores, found.class_ids, nms, self.max_detections)]

    @abstractmethod
    def scores(self, outputs: Outputs) -> Floats:
        """Score objects of each class at each place, (N, A, C) float32, 0 to 1."""

    def candidates(self, outputs: Outputs, threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Find what may be an object in the one picture, before suppression.

        A place may hold an object of every class that it scores high enough.

        Args:
            outputs: What the network returned.
            threshold: Smallest score.

        Returns:
            Places (n,), class ids (n,) and scores (n,).
        """
        scores = self.scores(outputs)[0]
        places, classes = np.nonzero(scores >= threshold)
        return places, classes, scores[places, classes]

    @abstractmethod
    def boxes(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Give the boxes at n places of a picture, (n, 4) float32 xyxy, input pixels."""

    def points(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Give the points of the objects at n places of a picture, (n, P, 2) float32 x, y, input pixels."""
        return np.zeros((len(index), 0, 2), np.float32)

    def joined(self, outputs: Outputs) -> Outputs:
        """Join outputs of one kind, whose differences are measured together: a grid may hold next to nothing."""
        return outputs

    # For decoders.

    def _around_places(self, values: NDArray[Any], index: NDArray[np.intp]) -> Floats:
        """Decode boxes from (n, 4): center from the place on, and logarithms of width and height, in strides."""
        values, stride = values.astype(np.float32), self.strides[index]
        center = (values[:, :2] + self.places[index]) * stride
        with np.errstate(over="ignore"):  # becomes infinite and is clipped
            half = np.exp(values[:, 2:]) * (stride / 2)
        return np.concatenate([center - half, center + half], axis=1)


DECODERS: Registry[type[Decoder]] = Registry(
    "detector architecture",
    {
        "rtmdet": "edgehr.tasks.detection.rtmdet:RtmdetDecoder",
        "yolox": "edgehr.tasks.detection.yolox:YoloxDecoder",
        "yunet": "edgehr.tasks.detection.yunet:YunetDecoder",
        "hrnet_fcos": "edgehr.tasks.detection.fcos:FCOSDecoder",
        "hrnet_rcnn": "edgehr.tasks.detection.two_stage.decoder:TwoStageDecoder",
    },
)
