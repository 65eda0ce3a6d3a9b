"""Images as every task takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError

Image = NDArray[np.uint8]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

# Pixels of the shorter side that reducing an image leaves.
SMALL = 64


def as_bgr(image: NDArray[Any]) -> Image:
    """Return the image as (H, W, 3) BGR bytes.

    Args:
        image: uint8 array: (H, W) or (H, W, 1) grayscale, (H, W, 3) BGR, or (H, W, 4) BGRA, whose alpha is dropped.

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


def image_files(path: Path) -> list[Path]:
    """List the images of a folder by name, or the one image.

    Raises:
        EdgehrError: There is no such file or folder, or no image in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise EdgehrError(f"{path}: no such image or folder of images")
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    if not found:
        raise EdgehrError(f"{path}: holds no images ({', '.join(IMAGE_SUFFIXES)})")
    return found


def read_image(path: Path) -> Image:
    """Read an image as (H, W, 3) BGR; raises EdgehrError where OpenCV cannot."""
    image = _read(path, cv2.IMREAD_COLOR)
    if image is None:
        raise EdgehrError(f"{path}: not an image that OpenCV reads")
    return image


def _read(path: Path, flags: int) -> Image | None:
    try:
        image: Image | None = cv2.imread(str(path), flags)
    except cv2.error:  # more pixels than OpenCV takes; other damage gives None
        return None
    return image


def read_reduced(path: Path) -> tuple[Image, float]:
    """Read an image at a quarter of its width and height, for looks at many images: a JPEG takes half of the time.

    Returns:
        (H, W, 3) BGR, and what width and height were multiplied by: 1 for images that are small already.

    Raises:
        EdgehrError: OpenCV cannot read it.
    """
    image = _read(path, cv2.IMREAD_REDUCED_COLOR_4)
    if image is None or min(image.shape[:2]) < SMALL:
        return read_image(path), 1.0
    return image, 0.25
