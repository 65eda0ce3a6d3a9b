"""LandmarksSpec: what the landmarks task has to know of a model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.tasks.pose.spec import TopDownSpec


@dataclass(frozen=True)
class LandmarksSpec(TopDownSpec):
    """The landmarks of faces, how they are read from a network's heatmaps, and what errors are measured in.

    Attributes:
        normalizer: The two landmarks whose distance is the unit of the normalized mean error (NME), by index; empty
            where that is the size of the face's box.
    """

    points: ClassVar[str] = "landmarks"

    normalizer: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.keypoints.names)
        pair = set(self.normalizer)
        if self.normalizer and not (len(self.normalizer) == len(pair) == 2 and all(0 <= i < count for i in pair)):
            raise EdgehrError(
                f"normalizer must be two of the {count} landmarks, or empty for the face's size, got "
                f"{list(self.normalizer)}"
            )

    @property
    def normalizer_name(self) -> str:
        """Say what NME is divided by."""
        names = [self.keypoints.names[index] for index in self.normalizer]
        return f"distance of {' and '.join(names)}" if names else "size of the face's box"

    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        """Give labels and values for `edgehr inspect`."""
        *lines, last = super().lines(card)
        return [*lines, ("normalizer", self.normalizer_name), last]
