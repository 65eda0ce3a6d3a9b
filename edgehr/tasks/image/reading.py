"""Images as every task takes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError
from edgehr.opencv import cv2

Image = NDArray[np.uint8]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

T = TypeVar("T")

PNG = b"\x89PNG\r\n\x1a\n"
# Pixels of the shorter side that reducing an image leaves.
SMALL = 64


def warn(message: str) -> None:
    """Tell of images that are left out by Python's logging, which prints on standard error."""
    logging.getLogger("edgehr.images").warning("%s", message)


def as_bgr(image: NDArray[Any]) -> Image:
    """Return the image as (H, W, 3) BGR bytes.

    Args:
        image: uint8 array: (H, W) or (H, W, 1) grayscale, (H, W, 3) BGR, or (H, W, 4) BGRA, whose alpha is dropped.

    Raises:
        TensorError: Another shape or dtype, or no pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        if found == "NoneType":
            found = "None, which cv2.imread returns for a file that is missing or no picture"
        raise TensorError(f"an image must be a uint8 array (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, got {found}")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 3:
        return image
    conversion = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}.get(channels)
    if conversion is None:
        raise TensorError(f"an image must have 1, 3 or 4 channels, got {channels}")
    converted: Image = cv2.cvtColor(image, conversion)
    return converted


def drawable(image: NDArray[Any]) -> Image:
    """Return the image as (H, W, 3) BGR bytes that OpenCV can draw into: itself where that is so, otherwise a copy.

    A copy is made of a read-only array, and of a view that is mirrored, strided or otherwise not laid out row by row.

    Args:
        image: As for `as_bgr`.

    Raises:
        TensorError: Another shape or dtype, or no pixels.
    """
    bgr = as_bgr(image)
    width = bgr.shape[1]
    rows = bgr.strides[1:] == (3, 1) and bgr.strides[0] >= 3 * width
    return bgr if rows and bgr.flags.writeable else np.array(bgr, order="C")


def image_files(path: Path, tell: Callable[[str], None] = warn) -> list[Path]:
    """List the images of a folder by name, or the one image.

    Hidden files are left out, as every program that lists a folder does: macOS puts `._photo.jpg`, which is no picture,
    beside each `photo.jpg` on a foreign drive.

    Args:
        path: An image file or a folder.
        tell: Is told of hidden files that are named as images.

    Raises:
        EdgehrError: There is no such file or folder, or no image in it.
    """
    try:
        if path.is_file():
            return [path]
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    except (FileNotFoundError, NotADirectoryError):
        raise EdgehrError(f"{path}: no such image or folder of images") from None
    except OSError as error:
        raise EdgehrError(f"{path}: cannot read it: {error.strerror}") from None
    found = [file for file in files if not file.name.startswith(".")]
    hidden = len(files) - len(found)
    if not found:
        but = " but hidden ones" if hidden else ""
        raise EdgehrError(f"{path}: holds no images{but} ({', '.join(IMAGE_SUFFIXES)})")
    if hidden:
        tell(f"{path}: {hidden} hidden file(s), as {next(iter(set(files) - set(found))).name}, are left out")
    return found


def image_files_within(folder: Path) -> list[Path]:
    """List the images of a folder and its subfolders by name, without hidden ones; raises EdgehrError for none."""
    if not folder.is_dir():
        raise EdgehrError(f"{folder}: no such folder of images")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]
    if not found:
        raise EdgehrError(f"{folder}: holds no images ({', '.join(IMAGE_SUFFIXES)})")
    return found


def read_images(
    files: Sequence[Path], read: Callable[[Path], T], tell: Callable[[str], None] = warn
) -> Iterator[tuple[Path, T]]:
    """Read images of a folder one after the other; broken ones among them are left out.

    Args:
        files: The images.
        read: Reads one of them; raises EdgehrError where it cannot.
        tell: Is told of each that is left out.

    Yields:
        Each file with what `read` returned.

    Raises:
        EdgehrError: The only one cannot be read, or none of them.
    """
    broken = 0
    for file in files:
        try:
            content = read(file)
        except EdgehrError as error:
            broken += 1
            if len(files) == 1:
                raise
            if broken == len(files):
                raise EdgehrError(f"none of these {broken} images can be read; the last: {error}") from None
            tell(f"{error}; it is left out")
        else:
            yield file, content


def read_image(path: Path, size: tuple[int, int] | None = None) -> Image:
    """Read an image as (H, W, 3) BGR, turned as its EXIF orientation says.

    Args:
        path: The file.
        size: Width and height that its annotations are for, if there are any.

    Raises:
        EdgehrError: It cannot be read, OpenCV cannot decode it, or it is of another size.
    """
    image = _read(path, cv2.IMREAD_COLOR)
    if image is None:
        raise EdgehrError(f"{path}: not an image that OpenCV reads")
    found = (image.shape[1], image.shape[0])
    if size and found != size:
        raise EdgehrError(_wrong_size(path, found, size))
    return image


def _read(path: Path, flags: int) -> Image | None:
    try:
        # Not by its name: OpenCV cannot take every name, and kills the process for one that is not UTF-8.
        content = path.read_bytes()
    except OSError as error:
        raise EdgehrError(f"{path}: cannot read it: {error.strerror}") from None
    image: Image | None = decode_image(content, flags)
    return image


def decode_image(content: bytes, flags: int) -> NDArray[Any] | None:
    """Decode a picture by OpenCV; None where it is damaged, none, or larger than OpenCV takes.

    Args:
        content: The file.
        flags: As for `cv2.imdecode`.
    """
    if not content or not _has_its_chunks(content):
        return None
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # more pixels than OpenCV takes; other damage gives None
        return None


def _has_its_chunks(content: bytes) -> bool:
    """Tell whether a PNG has as many bytes as its chunks say: OpenCV makes room for all that they say, gigabytes."""
    if not content.startswith(PNG):
        return True
    place = len(PNG)
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        if place + 12 + size > len(content):
            return False
        if content[place + 4 : place + 8] == b"IEND":
            break
        place += 12 + size
    return True


def _wrong_size(path: Path, found: tuple[int, int], size: tuple[int, int]) -> str:
    """Say of which size an image is and should be, and what is likely the reason."""
    reason = ""
    if found == size[::-1]:
        raw = _read(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        turned = raw is not None and (raw.shape[1], raw.shape[0]) == size
        reason = (
            " (they were made before its EXIF orientation turned it: remove that tag, or annotate what is seen)"
            if turned
            else " (width and height are exchanged)"
        )
    return f"{path}: is {found[0]}x{found[1]} pixels, but its annotations are for {size[0]}x{size[1]}{reason}"


def read_reduced(path: Path, size: tuple[int, int] | None = None) -> tuple[Image, float]:
    """Read an image at a quarter of its width and height, for looks at many images: a JPEG takes half of the time.

    Args:
        path: The file.
        size: Width and height that its annotations are for, if there are any.

    Returns:
        (H, W, 3) BGR, and what width and height were multiplied by: 1 for images that are small already.

    Raises:
        EdgehrError: It cannot be read, OpenCV cannot decode it, or it is of another size.
    """
    image = _read(path, cv2.IMREAD_REDUCED_COLOR_4)
    if image is None or min(image.shape[:2]) < SMALL:
        return read_image(path, size), 1.0
    if size and max(abs(size[0] - 4 * image.shape[1]), abs(size[1] - 4 * image.shape[0])) > 3:
        read_image(path, size)  # says what is wrong
    return image, 0.25


def encode_image(image: Image, path: Path) -> bytes:
    """Encode a (H, W, 3) BGR image in the format that the suffix of its file names.

    Raises:
        EdgehrError: OpenCV knows no such format, or it does not take an image of this size.
    """
    content = None
    if path.suffix.isascii():  # OpenCV kills the process for text that is not UTF-8
        with suppress(cv2.error):
            done, encoded = cv2.imencode(path.suffix, image)
            content = encoded if done else None
    if content is None:
        raise EdgehrError(f"{path}: OpenCV cannot write this image in the format that the name asks for")
    return content.tobytes()
