"""How far two models are apart on the same inputs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.batching import infer_batched
from edgehr.tasks.heatmaps import decode

SEEN = 0.2


@dataclass(frozen=True)
class Difference:
    """Differences between the heatmaps of two models, and between the keypoints decoded from them.

    Attributes:
        largest: Largest absolute difference.
        mean: Mean absolute difference.
        reference_std: Standard deviation of the first model's output, to judge the others by.
        relative: `largest` over `reference_std`.
        relative_mean: `mean` over `reference_std`.
        correlation: Pearson's, of all heatmap values; 0 for a model that returns nothing of it.
        keypoints_largest: Largest distance between keypoints that the first model scores above 0.2, heatmap pixels.
        keypoints_mean: Mean of those distances; NaN where there is no such keypoint.
        keypoints: How many those are.
        crops: Inputs compared.
    """

    largest: float
    mean: float
    reference_std: float
    relative: float
    relative_mean: float
    correlation: float
    keypoints_largest: float
    keypoints_mean: float
    keypoints: int
    crops: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN, which JSON lacks, becomes None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        moved = (
            f"{self.keypoints} keypoints move {self.keypoints_mean:.3f} heatmap pixels on average, "
            f"{self.keypoints_largest:.3f} at most"
            if self.keypoints
            else "no keypoint is seen"
        )
        return (
            f"mean {self.relative_mean:.1e}, largest {self.relative:.1e} of the standard deviation "
            f"({self.crops} crops); {moved}"
        )


def compare(card: ModelCard, first: Runtime, second: Runtime, batch: NDArray[np.float32]) -> Difference:
    """Run two models on one batch (N, 3, H, W) and measure how far the second is from the first.

    Raises:
        EdgehrError: They do not return the same shape.
    """
    name = card.outputs[0].name
    one, two = (_heatmaps(runtime, batch, name) for runtime in (first, second))
    if one.shape != two.shape:
        raise EdgehrError(
            f"the models return {one.shape[1:]} and {two.shape[1:]} for each crop: they cannot be compared"
        )
    distance, std = np.abs(one - two), float(one.std())
    unit = max(std, float(np.finfo(np.float32).tiny))
    (points, scores), (others, _) = decode(one, card.decoding), decode(two, card.decoding)
    moved = np.linalg.norm(points - others, axis=-1)[scores > SEEN]
    return Difference(
        largest=float(distance.max()),
        mean=float(distance.mean()),
        reference_std=std,
        relative=float(distance.max()) / unit,
        relative_mean=float(distance.mean()) / unit,
        correlation=_correlation(one, two),
        keypoints_largest=float(moved.max(initial=0)),
        keypoints_mean=float(moved.mean()) if len(moved) else float("nan"),
        keypoints=len(moved),
        crops=len(batch),
    )


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    centred = [maps.astype(np.float64) - maps.mean(dtype=np.float64) for maps in (one, two)]
    lengths = np.prod([np.linalg.norm(maps) for maps in centred])
    return float(np.vdot(*centred) / lengths) if lengths else 0.0


def _heatmaps(runtime: Runtime, batch: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """What a model returns for a batch (N, 3, H, W), as (N, K, H, W), whatever its own layout is."""
    channels_last = runtime.artifact is not None and runtime.artifact.card.layout == "nhwc"
    fed = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if channels_last else batch
    maps = infer_batched(runtime, fed)[name].astype(np.float32)
    return np.ascontiguousarray(maps.transpose(0, 3, 1, 2)) if channels_last else maps
