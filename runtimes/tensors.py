"""What goes into models and comes out of them, and what is told of their operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TensorSpec:
    """Describes a tensor that a model takes or returns.

    Attributes:
        name: Its name.
        shape: Its dimensions; None where any size will do.
        dtype: Its NumPy type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join('N' if d is None else str(d) for d in self.shape)})"

    def check(self, array: NDArray[Any]) -> None:
        """Raise TensorError unless `array` has this shape and type."""
        fits = len(self.shape) == np.ndim(array) and all(
            want is None or want == have for want, have in zip(self.shape, np.shape(array), strict=True)
        )
        if not isinstance(array, np.ndarray) or array.dtype != self.dtype or not fits:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise TensorError(f"expected {self}, got {found}")


@dataclass(frozen=True)
class OperatorTime:
    """How long an operator takes.

    Attributes:
        name: Its name in the graph that runs; of several that were fused to one, that of the whole.
        kind: Its type.
        ms: Milliseconds of one inference that are spent in it, on average.
        kernel: What computes it, where the backend says so.
    """

    name: str
    kind: str
    ms: float
    kernel: str = ""


def check_inputs(inputs: Tensors, specs: Sequence[TensorSpec]) -> None:
    """Make sure that inputs are what a model takes.

    Args:
        inputs: Arrays by name.
        specs: What it takes.

    Raises:
        TensorError: They are no mapping, some are missing or unknown, or one has another shape or type.
    """
    names = sorted(spec.name for spec in specs)
    if not isinstance(inputs, Mapping):
        raise TensorError(f"expected a dict with inputs {', '.join(names)}, got {type(inputs).__name__}")
    if sorted(inputs) != names:
        raise TensorError(f"expected inputs {', '.join(names)}, got {', '.join(sorted(inputs)) or 'none'}")
    for spec in specs:
        spec.check(inputs[spec.name])
