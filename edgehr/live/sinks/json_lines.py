"""Results as JSON lines: one object a line and frame."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.live.sinks.base import Result, StopRequested
from edgehr.live.sinks.pending import PendingFile
from edgehr.live.sources import Frame

STANDARD_OUTPUT = "-"


class JsonLinesSink:
    """Writes one object for each frame.

    It holds ``frame`` (number), ``name``, ``time_s`` (of a video file the frame's place in it, else the frame's own
    time), ``width`` and ``height`` in pixels, and what the result says of itself: of poses ``people``, see
    `Poses.to_dict`.

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
            try:
                self._file = self._pending.temporary.open("w", encoding="utf-8")
            except BaseException:  # a signal, or a full disk
                self._pending.discard()
                raise

    def write(self, frame: Frame, result: Result | None = None) -> None:
        """Write a line; raises `StopRequested` when nobody reads standard output any more."""
        height, width = frame.image.shape[:2]
        record = {
            "frame": frame.number,
            "name": frame.name,
            "time_s": round(frame.time_s if frame.position_s is None else frame.position_s, 4),
            "width": width,
            "height": height,
            **(result.to_dict() if result is not None else {}),
        }
        line = json.dumps(record, allow_nan=False, separators=(",", ":"))
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
