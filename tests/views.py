"""Arrays that hold an image in every way that NumPy can."""

from __future__ import annotations

from typing import Any

import numpy as np


def views(image: Any) -> dict[str, Any]:
    """Views of other arrays, each of the same pixels as an image (H, W, 3), and each to be written to."""
    height, width = image.shape[:2]

    def zeros(*shape: int) -> Any:
        return np.zeros(shape, np.uint8)

    layouts = {
        "itself": image.copy(),
        "mirrored": image[:, ::-1].copy()[:, ::-1],
        "upside down": image[::-1].copy()[::-1],
        "turned": np.rot90(np.rot90(image, -1).copy()),
        "channels first": np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0),
        "other order of colors": image[..., ::-1].copy()[..., ::-1],
        "Fortran": np.asfortranarray(image),
        "part": zeros(height + 2, width + 4, 3)[1:-1, 2:-2],
        "every second row": zeros(2 * height, width, 3)[::2],
        "every third column": zeros(height, 3 * width, 3)[:, ::3],
        "three of five channels": zeros(height, width, 5)[..., 1:4],
        "odd address": zeros(3 * height * width + 1)[1:].reshape(image.shape),
    }
    for view in layouts.values():
        view[...] = image
    return layouts


def read_only(image: Any) -> Any:
    """The image as memory that nobody may write to, a decoder's buffer say."""
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
