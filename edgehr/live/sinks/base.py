"""The interface of sinks."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edgehr.live.sources import Frame
from edgehr.tasks.pose.poses import Poses


class StopRequested(Exception):  # noqa: N818 - a wish, not an error
    """A user asks to end, as if the source had ended. The frame was taken."""


class Sink(Protocol):
    """Takes frames one by one, with what was found in them; `close` finishes the files."""

    def write(self, frame: Frame, poses: Poses | None = None) -> None:
        """Take a frame, drawn already, and its poses; raises `StopRequested` where a user asks to end."""

    def close(self) -> list[Path]:
        """Finish and return the files that were written."""

    def discard(self) -> None:
        """Give up: leave no unfinished file."""
