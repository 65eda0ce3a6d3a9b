"""How far two detectors are apart on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.converters.difference import OutputDifference, output_difference
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.batching import infer_batched
from edgehr.tasks.detection.task import DetectionTask

SEEN = 0.2


@dataclass(frozen=True, kw_only=True)
class BoxDifference(OutputDifference):
    """Differences between the raw outputs of two detectors, and between the boxes of the same places.

    Before non-maximum suppression, so that each box of the one has its counterpart in the other.

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

    def __str__(self) -> str:
        moved = (
            f"{self.boxes} candidate boxes of people move {self.boxes_mean:.3f} input pixels on average, "
            f"{self.boxes_largest:.3f} at most, and their scores {self.scores_largest:.4f} at most"
            if self.boxes
            else "nobody is seen"
        )
        return f"{super().__str__()}; {moved}"


def compare_boxes(card: ModelCard, first: Runtime, second: Runtime, batch: NDArray[np.float32]) -> BoxDifference:
    """Run two detectors on one batch (N, 3, H, W) and measure how far the second is from the first.

    Raises:
        EdgehrError: They do not return the same shape, or are not detectors.
    """
    task, name = DetectionTask(card), card.outputs[0].name
    one, two = (infer_batched(runtime, batch)[name].astype(np.float32) for runtime in (first, second))
    difference = output_difference(one, two)
    scores = task.scores(one)
    seen = scores > SEEN
    moved = np.abs(task.boxes(one) - task.boxes(two))[seen]
    rescored = np.abs(scores - task.scores(two))[seen]
    return BoxDifference(
        **difference,
        boxes_largest=float(moved.max(initial=0)),
        boxes_mean=float(moved.mean()) if len(moved) else float("nan"),
        scores_largest=float(rescored.max(initial=0)),
        boxes=len(moved),
    )
