"""Frames as image files."""

from __future__ import annotations

from pathlib import Path

from edgehr.files import atomic_write
from edgehr.live.sinks.base import Result
from edgehr.live.sources import Frame
from edgehr.tasks.image.reading import as_bgr, encode_image


class ImageSink:
    """Writes each frame as an image file, whole or not at all.

    Args:
        out: A file, or the folder to put files into.
        single: Whether `out` is the file.
    """

    def __init__(self, out: Path, single: bool) -> None:
        self._out, self._single = out, single
        self._written: list[Path] = []

    def write(self, frame: Frame, result: Result | None = None) -> None:
        """Write the frame under its own name, or as the one file."""
        path = self._out if self._single else self._out / frame.name
        with atomic_write(path) as (temporary,):
            temporary.write_bytes(encode_image(as_bgr(frame.image), path))
        self._written.append(path)

    def close(self) -> list[Path]:
        """Return the files that were written."""
        return self._written

    def discard(self) -> None:
        """Keep what there is: every file is whole already."""
