"""How far two pose models are apart on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.converters.difference import OutputDifference, output_difference
from edgehr.errors import EdgehrError
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.batching import infer_batched
from edgehr.tasks.pose.heatmaps import decode

SEEN = 0.2


@dataclass(frozen=True, kw_only=True)
class Difference(OutputDifference):
    """Differences between the heatmaps of two models, and between the keypoints decoded from them.

    Attributes:
        keypoints_largest: Largest distance between keypoints that the first model scores above 0.2, heatmap pixels.
        keypoints_mean: Mean of those distances; NaN where there is no such keypoint.
        keypoints: How many those are.
    """

    keypoints_largest: float
    keypoints_mean: float
    keypoints: int

    def __str__(self) -> str:
        moved = (
            f"{self.keypoints} keypoints move {self.keypoints_mean:.3f} heatmap pixels on average, "
            f"{self.keypoints_largest:.3f} at most"
            if self.keypoints
            else "no keypoint is seen"
        )
        return f"{super().__str__()}; {moved}"


def compare(card: ModelCard, first: Runtime, second: Runtime, batch: NDArray[np.float32]) -> Difference:
    """Run two pose models on one batch (N, 3, H, W) and measure how far the second is from the first.

    Raises:
        EdgehrError: They do not return the same shape, or are not for pose.
    """
    if card.task != "pose":
        raise EdgehrError(f"{card.name} is a model for {card.task}: only pose models can be compared")
    name = card.outputs[0].name
    one, two = (_heatmaps(runtime, batch, name) for runtime in (first, second))
    difference = output_difference(one, two)
    (points, scores), (others, _) = decode(one, card.decoding), decode(two, card.decoding)
    moved = np.linalg.norm(points - others, axis=-1)[scores > SEEN]
    return Difference(
        **difference,
        keypoints_largest=float(moved.max(initial=0)),
        keypoints_mean=float(moved.mean()) if len(moved) else float("nan"),
        keypoints=len(moved),
    )


def _heatmaps(runtime: Runtime, batch: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """What a model returns for a batch (N, 3, H, W), as (N, K, H, W), whatever its own layout is."""
    channels_last = runtime.artifact is not None and runtime.artifact.card.layout == "nhwc"
    fed = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if channels_last else batch
    maps = infer_batched(runtime, fed)[name].astype(np.float32)
    return np.ascontiguousarray(maps.transpose(0, 3, 1, 2)) if channels_last else maps
