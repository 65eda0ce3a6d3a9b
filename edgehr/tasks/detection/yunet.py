"""YuNet (Wu, Peng, Yu: YuNet, a tiny millisecond-level face detector, 2023), read as OpenCV's FaceDetectorYN reads it.

It has four outputs a stride, `cls_8`, `obj_8`, `bbox_8`, `kps_8` and so on: probabilities of a face and of an object,
boxes, and five points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.base import Outputs
from edgehr.tasks.detection.decoders import Decoder, Floats


class YunetDecoder(Decoder):
    """Reads (N, A_s, 1), (N, A_s, 1), (N, A_s, 4) and (N, A_s, 2 P) for each stride s."""

    # On sample pictures faces of 25 pixels and more score 0.78 and higher, a fist and a hand 0.60 and 0.71.
    threshold, nms = 0.75, 0.3
    evaluation_threshold, evaluation_nms = 0.02, 0.45  # of the authors' configuration

    KINDS = ("cls", "obj", "bbox", "kps")

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shapes of the outputs, in the card's order."""
        counts = zip(self.KINDS, (len(self.spec.classes), 1, 4, 2 * len(self.spec.points)), strict=True)
        places = [(stride, int((self.strides == stride).sum())) for stride in self.spec.strides]
        return {f"{kind}_{stride}": (rows, count) for kind, count in counts for stride, rows in places}

    def scores(self, outputs: Outputs) -> Floats:
        """Take the geometric mean of both probabilities."""
        face, object_ = (np.clip(self._joined(outputs, kind), 0, 1) for kind in ("cls", "obj"))
        scores: Floats = np.sqrt(face * object_)
        return scores

    def boxes(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Decode boxes as YOLOX has them."""
        return self._around_places(self._joined(outputs, "bbox")[picture, index], index)

    def points(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Decode points: from the place on, in strides."""
        values = self._joined(outputs, "kps")[picture, index].reshape(len(index), len(self.spec.points), 2)
        points: Floats = (values + self.places[index, None]) * self.strides[index, None]
        return points

    def joined(self, outputs: Outputs) -> Outputs:
        """Join the strides of each kind."""
        return {kind: self._joined(outputs, kind) for kind in self.KINDS}

    def _joined(self, outputs: Outputs, kind: str) -> Floats:
        return np.concatenate([outputs[f"{kind}_{stride}"] for stride in self.spec.strides], axis=1, dtype=np.float32)
