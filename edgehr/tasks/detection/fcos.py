"""FCOS (Tian, Shen, Chen, He: FCOS: Fully Convolutional One-Stage Object Detection, 2019), read as mmdetection does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.tasks.base import Outputs
from edgehr.tasks.detection.decoders import Decoder, Floats
from edgehr.tasks.detection.two_stage.boxes import sigmoid, surest_by_group

# A class less likely than this at a place is not looked at there, and of each level no more than the surest thousand.
CLASS_THRESHOLD = 0.05
MAX_PER_LEVEL = 1000
FINEST = 8  # pixels a cell of the finest level


class FCOSDecoder(Decoder):
    """Reads (N, A, C) class logits, (N, A, 4) left, top, right, bottom in pixels, and (N, A, 1) centerness logits.

    The score of an object is the product of both probabilities, so that it may be below the threshold of its class.
    """

    threshold, nms = 0.3, 0.5
    evaluation_threshold, evaluation_nms = 0.0, 0.5
    max_detections = 100

    def __init__(self, card: ModelCard) -> None:
        self.check_strides(card, FINEST)
        super().__init__(card)

    def cells(self, side: int, stride: int) -> int:
        """Count as the pyramid does: levels are pooled from stride 4 and round down, then halved and round up."""
        return -(-(side // 4 // (stride // FINEST)) // 2)

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shapes of the outputs, in the card's order."""
        counts = (len(self.spec.classes), 4, 1)
        return {name: (len(self.places), count) for name, count in zip(self.names, counts, strict=True)}

    def scores(self, outputs: Outputs) -> Floats:
        """Multiply the probabilities of a class and of centerness."""
        classes, _, centerness = (outputs[name] for name in self.names)
        scores: Floats = sigmoid(classes) * sigmoid(centerness)
        return scores

    def candidates(self, outputs: Outputs, threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Take the surest classes of each level before centerness lowers their scores."""
        logits, _, centerness = (outputs[name][0] for name in self.names)
        places, classes = np.nonzero(logits > np.log(CLASS_THRESHOLD / (1 - CLASS_THRESHOLD)))
        likely = logits[places, classes]
        chosen = surest_by_group(likely, self.strides[places, 0], MAX_PER_LEVEL)
        places, classes = places[chosen], classes[chosen]
        scores = sigmoid(likely[chosen]) * sigmoid(centerness[places, 0])
        sure = scores >= threshold
        return places[sure], classes[sure], scores[sure]

    def boxes(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Go from the middle of each place to all sides."""
        sides = outputs[self.names[1]][picture, index].astype(np.float32)
        center = (self.places[index] + np.float32(0.5)) * self.strides[index]
        return np.concatenate([center - sides[:, :2], center + sides[:, 2:]], axis=1)
