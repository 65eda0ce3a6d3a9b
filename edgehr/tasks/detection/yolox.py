"""YOLOX (Ge et al., YOLOX: Exceeding YOLO Series in 2021): one output, whose rows are its places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.base import Outputs
from edgehr.tasks.detection.decoders import Decoder, Floats


class YoloxDecoder(Decoder):
    """Reads (N, A, 5 + C): a box, the probability of an object, and that of each class."""

    # Where YOLOX-nano misses as many people as it invents: on 100 images of COCO train2017, precision and recall are
    # both 0.73 at an overlap of 0.5.
    threshold, nms = 0.4, 0.5
    evaluation_threshold, evaluation_nms = 0.01, 0.65  # the exp files' test_conf and nmsthre

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of the one output."""
        return {self.names[0]: (len(self.places), 5 + len(self.spec.classes))}

    def scores(self, outputs: Outputs) -> Floats:
        """Multiply the probabilities of an object and of its class."""
        raw = outputs[self.names[0]]
        scores: Floats = raw[..., 4:5].astype(np.float32) * raw[..., 5:].astype(np.float32)
        return scores

    def boxes(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Decode the first four columns."""
        return self._around_places(outputs[self.names[0]][picture, index, :4], index)
