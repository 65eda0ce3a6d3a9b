"""TaskResult: what the results of all tasks have in common, and the libraries that they convert to."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgehr.dependencies import loading_native, need_packages, unusable

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """The result of a task for one image, and which frame of a stream that was.

    Attributes:
        frame_number: The frame's number, from 0; None for an image that is part of no stream.
        time_s: The frame's time in seconds: of a video file its place in the film, of a live source
            `time.monotonic()` at capture; None where there is none.
    """

    frame_number: int | None = None
    time_s: float | None = None

    def at(self, frame_number: int | None, time_s: float | None) -> Self:
        """Return this result as that of a certain frame. Arrays are shared."""
        result = copy.copy(self)  # `replace` would check, and count pixels, once more
        object.__setattr__(result, "frame_number", frame_number)
        object.__setattr__(result, "time_s", time_s)
        return result

    # For results.

    def _when(self) -> dict[str, Any]:
        """Give ``frame`` and ``time_s`` for dictionaries and rows, each where it is known."""
        frame = {} if self.frame_number is None else {"frame": self.frame_number}
        return frame if self.time_s is None else {**frame, "time_s": round(self.time_s, 4)}

    def _described(self, *parts: str) -> str:
        """Put a one-line description together, for `repr`."""
        known = self._when()
        frame = [f"frame {known['frame']}"] if "frame" in known else []
        time = [f"{known['time_s']:.3f} s"] if "time_s" in known else []
        return f"{type(self).__name__}({', '.join([*parts, *frame, *time])})"


def best_score(scores: NDArray[Any]) -> list[str]:
    """Say for `repr` what the best of (N,) scores is; nothing where there are none."""
    return [f"best score {float(np.max(scores)):.2f}"] if len(scores) else []


def supervision_library() -> Any:
    """Import supervision; raises MissingDependencyError where it is not installed or does not load."""
    need_packages("supervision", extra="supervision")
    try:
        with loading_native():
            import supervision
    except Exception as error:  # of its own dependencies any may be damaged
        raise unusable("supervision", "supervision", "supervision", error) from error
    return supervision
