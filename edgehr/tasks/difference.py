"""How far the outputs of two models are apart, whatever they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.plain_data import without_nan


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """Differences between the output tensors of two models; of several outputs, those of the one that is furthest off.

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
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        return without_nan(asdict(self))

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Give headers and rows to print; a task adds columns of what its results are apart."""
        rows: list[list[object]] = [
            ["mean", f"{self.relative_mean:.2e}"],
            ["largest", f"{self.relative:.2e}"],
            ["compared", self.crops],
        ]
        return ["", "OUTPUT (std of A)"], rows

    def __str__(self) -> str:
        return (
            f"mean {self.relative_mean:.1e}, largest {self.relative:.1e} of the standard deviation ({self.crops} crops)"
        )


def output_difference(outputs: Mapping[str, NDArray[Any]], others: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Measure the fields of `OutputDifference`.

    Args:
        outputs: What the first model returned, (N, ...) by name.
        others: What the second did.

    Raises:
        EdgehrError: They are not of the same names and shapes.
    """
    if set(outputs) != set(others):
        raise EdgehrError(
            f"the models return {', '.join(sorted(outputs))} and {', '.join(sorted(others))}: they cannot be compared"
        )
    return max((_difference(outputs[name], others[name]) for name in outputs), key=lambda found: found["relative_mean"])


def _difference(one: NDArray[Any], two: NDArray[Any]) -> dict[str, Any]:
    if one.shape != two.shape:
        raise EdgehrError(
            f"the models return {one.shape[1:]} and {two.shape[1:]} for each crop: they cannot be compared"
        )
    one, two = one.astype(np.float32, copy=False), two.astype(np.float32, copy=False)
    distance, std = np.abs(one - two), float(one.std())
    unit = max(std, float(np.finfo(np.float32).tiny))
    centered = [values.astype(np.float64) - values.mean(dtype=np.float64) for values in (one, two)]
    lengths = np.prod([np.linalg.norm(values) for values in centered])
    return {
        "largest": float(distance.max()),
        "mean": float(distance.mean()),
        "reference_std": std,
        "relative": float(distance.max()) / unit,
        "relative_mean": float(distance.mean()) / unit,
        "correlation": float(np.vdot(*centered) / lengths) if lengths else 0.0,
        "crops": len(one),
    }
