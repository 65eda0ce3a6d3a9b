"""Poses as JSON lines: one object a line and frame."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.live.sinks.base import StopRequested
from edgehr.live.sinks.pending import PendingFile
from edgehr.live.sources import Frame
from edgehr.tasks.pose.poses import Poses

STANDARD_OUTPUT = "-"


class JsonLinesSink:
    """Writes what `as_json` says of each frame.

    Args:
        out: A file, which appears when it is complete; or ``-``, standard output, where each line comes at once.

    Raises:
        EdgehrError: The file cannot be written.
    """

    def __init__(self, out: str | Path) -> None:
        self._path = None if str(out) == STANDARD_OUTPUT else Path(out)
        self._pending: PendingFile | None = None
        self._file = sys.stdout
        if self._path is not None:
            self._pending = PendingFile(self._path)
            self._file = self._pending.temporary.open("w", encoding="utf-8")

    def write(self, frame: Frame, poses: Poses | None = None) -> None:
        """Write a line; raises `StopRequested` when nobody reads standard output any more."""
        line = json.dumps(as_json(frame, poses), allow_nan=False, separators=(",", ":"))
        try:
            self._file.write(line + "\n")
            if self._path is None:
                self._file.flush()
        except BrokenPipeError:
            raise StopRequested from None
        except OSError as error:
            raise self._failure(error) from None

    def close(self) -> list[Path]:
        """Finish the file and move it into place."""
        if self._path is None or self._pending is None:
            return []
        try:
            self._file.close()  # writes what is still in the buffer, so here a full disk may show
            self._pending.keep()
        except OSError as error:
            raise self._failure(error) from None
        finally:
            self.discard()
        return [self._path]

    def discard(self) -> None:
        """Delete the unfinished file."""
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                self._file.close()
            except OSError:  # a full disk; the file goes anyway
                pass
            finally:
                pending.discard()

    def _failure(self, error: OSError) -> EdgehrError:
        return EdgehrError(f"{self._path or 'standard output'}: cannot be written: {error.strerror or error}")


def as_json(frame: Frame, poses: Poses | None) -> dict[str, Any]:
    """A frame and its people as plain values.

    Returns:
        ``frame`` (number), ``name``, ``time_s``, ``width`` and ``height`` in pixels, and ``people``, each with ``id``
        (null if not tracked), ``box`` (x1, y1, x2, y2) and ``keypoints`` (x, y, score each) in pixels, in the order of
        the model's card.
    """
    height, width = frame.image.shape[:2]
    return {
        "frame": frame.number,
        "name": frame.name,
        "time_s": round(frame.time_s, 4),
        "width": width,
        "height": height,
        "people": [] if poses is None else _people(poses),
    }


def _people(poses: Poses) -> list[dict[str, Any]]:
    people = []
    for index in range(len(poses)):
        keypoints = zip(poses.keypoints[index].tolist(), poses.scores[index].tolist(), strict=True)
        number = int(poses.ids[index])
        people.append(
            {
                "id": number if number >= 0 else None,
                "box": [round(value, 2) for value in poses.boxes[index].tolist()],
                "keypoints": [[round(x, 2), round(y, 2), round(score, 4)] for (x, y), score in keypoints],
            }
        )
    return people
