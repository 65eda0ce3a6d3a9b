"""Classification: the result of the classification task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.result import TaskResult, supervision_library

if TYPE_CHECKING:
    import supervision

TOP = 5


class RankedClass(NamedTuple):
    """A class and how probable it is: its name, its probability (0 to 1), and its number in the model."""

    name: str
    probability: float
    class_id: int


@dataclass(frozen=True, repr=False)
class Classification(TaskResult):
    """Tells what is in one image: the most probable classes, `result[0]` first, and the probability of every class.

    Attributes:
        probabilities: (C,) float32 of every class, by its number; they add up to 1.
        names: The names of the C classes.
        top: How many classes the result counts and lists, the most probable ones; C at most.
        frame_number: See `TaskResult`, as for `time_s`.

    Raises:
        TensorError: The shapes do not fit each other.
        EdgehrError: `top` is below 1.
    """

    probabilities: NDArray[np.float32]
    names: tuple[str, ...]
    top: int = TOP

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.names),):
            raise TensorError(
                f"a classification among {len(self.names)} classes needs probabilities ({len(self.names)},), got "
                f"{self.probabilities.shape}"
            )
        if self.top < 1:
            raise EdgehrError(f"top must be at least 1, got {self.top}")
        object.__setattr__(self, "top", min(self.top, len(self.names)))

    @cached_property
    def class_ids(self) -> NDArray[np.int64]:
        """Give the numbers of the most probable classes, (top,); of equal ones the lower number comes first."""
        order: NDArray[np.int64] = np.argsort(-self.probabilities, kind="stable")[: self.top].astype(np.int64)
        return order

    @property
    def best(self) -> RankedClass:
        """Return the most probable class."""
        return self[0]

    def __len__(self) -> int:
        return self.top

    @overload
    def __getitem__(self, key: int) -> RankedClass: ...

    @overload
    def __getitem__(self, key: str) -> float: ...

    def __getitem__(self, key: int | str) -> RankedClass | float:
        """Pick by rank, 0 for the most probable class; or the probability of a class by its name.

        Raises:
            IndexError: There are fewer classes in the result.
            EdgehrError: The model knows no class of this name.
        """
        if isinstance(key, str):
            if key not in self.names:
                raise EdgehrError(f"there is no class {key!r} among the model's {len(self.names)}")
            return float(self.probabilities[self.names.index(key)])
        number = int(self.class_ids[key])
        return RankedClass(self.names[number], float(self.probabilities[number]), number)

    def __iter__(self) -> Iterator[RankedClass]:
        return (self[rank] for rank in range(self.top))

    def __repr__(self) -> str:
        return self._described(*(f"{each.name} {each.probability:.3f}" for each in self))

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types: ``{"classes": [{"name": ..., "class_id": ..., "probability": ...}]}``.

        Where they are known, ``frame`` and ``time_s`` (seconds) are there too.
        """
        return {
            **self._when(),
            "classes": [
                {"name": each.name, "class_id": each.class_id, "probability": round(each.probability, 4)}
                for each in self
            ],
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """Convert to flat rows, one a class, as ``pandas.DataFrame`` takes them.

        Returns:
            Rows of the `top` classes: ``frame`` and ``time_s`` (seconds; both only where they are known), ``rank``
            (from 0), ``name``, ``class_id`` and ``probability``.
        """
        return [{**self._when(), "rank": rank, **each} for rank, each in enumerate(self.to_dict()["classes"])]

    def to_supervision(self) -> supervision.Classifications:
        """Convert to ``supervision.Classifications`` with every class, by number.

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        return supervision_library().Classifications(np.arange(len(self.names)), self.probabilities)
