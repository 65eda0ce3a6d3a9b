import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.tasks.image.reading import read_image, read_reduced


def png_of_claimed_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("read", [read_image, read_reduced])
@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture", png_of_claimed_size(65535, 65535), png_of_claimed_size(0, 0)],
    ids=["empty", "text", "huge", "no pixels"],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path, read: object, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(EdgehrError, match="not an image that OpenCV reads") as refused:
        read(path)  # type: ignore[operator]
    assert "\n" not in str(refused.value)


def test_a_large_picture_is_read_reduced(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.full((800, 1200, 3), 7, np.uint8))
    image, scale = read_reduced(path)
    assert image.shape == (200, 300, 3)
    assert scale == 0.25
    assert read_image(path).shape == (800, 1200, 3)
