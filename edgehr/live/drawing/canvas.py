"""Drawing into any array that is an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from edgehr.errors import TensorError
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image, drawable


@contextmanager
def canvas(image: NDArray[Any]) -> Iterator[Image]:
    """Give an array that OpenCV can draw into; what the block draws is in the image afterwards.

    Args:
        image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), whose alpha stays; also a view, mirrored say.

    Raises:
        TensorError: The image has another form, or is read-only.
    """
    drawn = drawable(image)
    if not image.flags.writeable:
        raise TensorError("the image is read-only: draw into a copy, image.copy()")
    yield drawn
    if drawn is image:
        return
    if image.shape == drawn.shape:
        image[...] = drawn
    elif image.shape[2:] == (4,):
        image[..., :3] = drawn
    else:
        image[...] = cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY).reshape(image.shape)


def drawable_text(text: str) -> str:
    """Replace what is not UTF-8 in a text, a file's name for one: OpenCV kills the process for it."""
    return text.encode(errors="replace").decode()
