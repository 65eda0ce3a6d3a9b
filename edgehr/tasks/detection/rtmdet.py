"""RTMDet (Lyu et al., RTMDet: An Empirical Study of Designing Real-Time Object Detectors, 2022), from its raw heads.

Published graphs end in non-maximum suppression. Conversion cuts them where the heads end
(`edgehr.converters.onnx.rtmdet`) and joins these to one output, whose rows are the network's places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.base import Outputs
from edgehr.tasks.detection.decoders import Decoder, Floats
from edgehr.tasks.detection.two_stage.boxes import sigmoid


class RtmdetDecoder(Decoder):
    """Reads (N, A, 4 + C): distances to the four sides of a box, in strides, and the logit of each class."""

    # Where RTMDet-nano misses as many people as it invents: docs/research/person-detectors.md.
    threshold, nms = 0.35, 0.5
    evaluation_threshold, evaluation_nms = 0.05, 0.6  # of the authors' export: score_thr and iou_threshold

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of the one output."""
        return {self.names[0]: (len(self.places), 4 + len(self.spec.classes))}

    def scores(self, outputs: Outputs) -> Floats:
        """Turn logits into probabilities."""
        return sigmoid(outputs[self.names[0]][..., 4:])

    def boxes(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Go from each place so far to the left, up, to the right and down."""
        values, stride = outputs[self.names[0]][picture, index, :4].astype(np.float32), self.strides[index]
        return np.concatenate(
            [(self.places[index] - values[:, :2]) * stride, (self.places[index] + values[:, 2:]) * stride], axis=1
        )
