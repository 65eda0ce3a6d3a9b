"""An image, or a folder of images."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edgehr.live.sources.base import Frame, Kind, Listener, warn
from edgehr.tasks.image.reading import image_files, read_image, read_images


class PictureSource:
    """Single pictures, in the order of their names.

    A broken picture among others is left out; the listener is told.

    Args:
        path: An image file or a folder.
        listener: Is told of files that are left out: hidden ones, and those that OpenCV cannot read.

    Raises:
        EdgehrError: Nothing there, or a folder without images; while iterating, that none of them can be read.
    """

    kind: Kind = "images"
    fps = 0.0
    dropped = 0

    def __init__(self, path: Path, listener: Listener = warn) -> None:
        self.path, self.name = path, str(path)
        self._tell = listener
        self._files = image_files(path, listener)
        self.count = len(self._files)
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        numbers = {file: number for number, file in enumerate(self._files)}
        for file, image in read_images(self._files, read_image, self._tell):
            if self._closed.is_set():
                return
            yield Frame(file.name, image, numbers[file], time.monotonic())

    def close(self) -> None:
        """End the iteration after the picture it is at."""
        self._closed.set()
