"""How far two models' outputs are apart, whatever they mean."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """Differences between the output tensors of two models.

    Attributes:
        largest: Largest absolute difference.
        mean: Mean absolute difference.
        reference_std: Standard deviation of the first model's output, to judge the others by.
        relative: `largest` over `reference_std`.
        relative_mean: `mean` over `reference_std`.
        correlation: Pearson's, of all values; 0 for a model that returns nothing of it.
        crops: Inputs compared.
    """

    largest: float
    mean: float
    reference_std: float
    relative: float
    relative_mean: float
    correlation: float
    crops: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN, which JSON lacks, becomes None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        return (
            f"mean {self.relative_mean:.1e}, largest {self.relative:.1e} of the standard deviation ({self.crops} crops)"
        )


def output_difference(one: NDArray[np.float32], two: NDArray[np.float32]) -> dict[str, Any]:
    """The fields of `OutputDifference` for the outputs (N, ...) of two models.

    Raises:
        EdgehrError: They are not of the same shape.
    """
    if one.shape != two.shape:
        raise EdgehrError(
            f"the models return {one.shape[1:]} and {two.shape[1:]} for each crop: they cannot be compared"
        )
    distance, std = np.abs(one - two), float(one.std())
    unit = max(std, float(np.finfo(np.float32).tiny))
    return {
        "largest": float(distance.max()),
        "mean": float(distance.mean()),
        "reference_std": std,
        "relative": float(distance.max()) / unit,
        "relative_mean": float(distance.mean()) / unit,
        "correlation": _correlation(one, two),
        "crops": len(one),
    }


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    centered = [maps.astype(np.float64) - maps.mean(dtype=np.float64) for maps in (one, two)]
    lengths = np.prod([np.linalg.norm(maps) for maps in centered])
    return float(np.vdot(*centered) / lengths) if lengths else 0.0
