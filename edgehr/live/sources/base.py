"""The interface of sources, and the frames they give."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgehr.tasks.image.reading import Image, as_bgr

Kind = Literal["images", "video", "live"]

# Takes what a user should know though the work goes on. It may be called from a source's own thread.
Listener = Callable[[str], None]


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        name: File name; of a video or a camera, with the frame's number.
        image: (H, W, 3) BGR.
        number: Counts from 0. Of a live source, frames nobody took count as well.
        time_s: `time.monotonic()` when it was captured; of a file, when it was read.
        position_s: Of a video file, seconds from its beginning, by the file's own timestamps; else None.
    """

    name: str
    image: NDArray[np.uint8] = field(repr=False)
    number: int = 0
    time_s: float = 0.0
    position_s: float | None = None


class Source(Protocol):
    """A sequence of frames. Iterating ends with the source, or soon after `close`, which any thread may call."""

    @property
    def name(self) -> str:
        """Name what was opened, as it can be shown: without passwords."""

    @property
    def kind(self) -> Kind:
        """Tell ``images`` (single pictures), ``video`` (every frame in order) or ``live`` (the newest frame)."""

    @property
    def count(self) -> int:
        """Count the frames; 0 if unknown or without end."""

    @property
    def fps(self) -> float:
        """Tell the frames per second; 0 if unknown."""

    @property
    def dropped(self) -> int:
        """Count the frames that came while the consumer was busy; only live sources drop any."""

    @property
    def path(self) -> Path | None:
        """Name the file or folder that it comes from, if any."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """End the iteration and let go of the file or the device."""


def warn(message: str) -> None:
    """Listen for sources that were given no listener: log by Python's logging, which prints on standard error."""
    logging.getLogger("edgehr.live").warning("%s", message)


def decoded_image(image: NDArray[Any] | None) -> Image | None:
    """Turn a decoder's picture into (H, W, 3) BGR; None where it gave none.

    Raises:
        TensorError: Pixels of another type than uint8, 16-bit grayscale of a depth or thermal camera for one.
    """
    return None if image is None or image.size == 0 else as_bgr(image)


def file_stem(name: str) -> str:
    """Turn a source's name into the first part of file names: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") or "source"
