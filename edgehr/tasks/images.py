"""Images as every task takes them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError

Image = NDArray[np.uint8]


def as_bgr(image: NDArray[Any]) -> Image:
    """Return the image as (H, W, 3) BGR bytes.

    Args:
        image: uint8 array: (H, W) or (H, W, 1) greyscale, (H, W, 3) BGR, or (H, W, 4) BGRA, whose alpha is dropped.

    Raises:
        TensorError: Another shape or dtype, or no pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TensorError(f"an image must be a uint8 array (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, got {found}")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 3:
        return image
    conversion = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}.get(channels)
    if conversion is None:
        raise TensorError(f"an image must have 1, 3 or 4 channels, got {channels}")
    converted: Image = cv2.cvtColor(image, conversion)
    return converted
