"""An image, or a folder of images."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edgehr.pose.sources.base import Frame, Kind
from edgehr.tasks.images import image_files, read_image


class PictureSource:
    """Unrelated pictures, in the order of their names.

    Args:
        path: An image file or a folder.

    Raises:
        EdgehrError: Nothing there, or a folder without images; while iterating, a file that OpenCV cannot read.
    """

    kind: Kind = "images"
    fps = 0.0
    dropped = 0

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self._files = image_files(path)
        self.count = len(self._files)
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for number, file in enumerate(self._files):
            if self._closed.is_set():
                return
            yield Frame(file.name, read_image(file), number, time.monotonic())

    def close(self) -> None:
        """End the iteration after the picture it is at."""
        self._closed.set()
