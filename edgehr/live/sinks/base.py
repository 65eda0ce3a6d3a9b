"""The interface of sinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from edgehr.live.sources import Frame


class StopRequested(Exception):  # noqa: N818 - a wish, not an error
    """A user asks to end, as if the source had ended. The frame was taken."""


class Result(Protocol):
    """The result of any task for a frame."""

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types."""


class Sink(Protocol):
    """Takes frames one by one, with their results; `close` finishes the files."""

    def write(self, frame: Frame, result: Result | None = None) -> None:
        """Take a frame, drawn already, and its result; raises `StopRequested` where a user asks to end."""

    def close(self) -> list[Path]:
        """Finish and return the files that were written."""

    def discard(self) -> None:
        """Give up: leave no unfinished file."""
