import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.errors import EdgehrError
from edgehr.evaluation.overlap import fingerprint
from edgehr.tasks.base import Task
from edgehr.tasks.image.reading import encode_image, image_files, read_image, read_images, read_reduced
from edgehr.zoo import DEFAULT_MODEL, get_card
from tests.views import read_only, views


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a folder of photographs holds that went through macOS and Windows."""
    for name in ("b.jpg", "a.png"):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 7, np.uint8))
    (tmp_path / "._b.jpg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "folder.jpg").mkdir()
    return tmp_path


def test_what_else_lies_in_a_folder_is_left_out_and_said(folder: Path) -> None:
    said: list[str] = []
    files = image_files(folder, said.append)
    assert [file.name for file in files] == ["a.png", "b.jpg", "empty.jpg"]
    read = dict(read_images(files, read_image, said.append))
    assert [file.name for file in read] == ["a.png", "b.jpg"]
    assert said == [
        f"{folder}: 1 hidden file(s), as ._b.jpg, are left out",
        f"{folder / 'empty.jpg'}: not an image that OpenCV reads; it is left out",
    ]


def test_a_folder_without_any_image_to_read_is_refused_in_one_line(folder: Path) -> None:
    for name in ("a.png", "b.jpg"):
        (folder / name).write_bytes(b"")
    with pytest.raises(EdgehrError, match=r"none of these 3 images can be read; the last: .*empty\.jpg: not an image"):
        dict(read_images(image_files(folder), read_image))
    for name in ("a.png", "b.jpg", "empty.jpg"):
        (folder / name).unlink()
    with pytest.raises(EdgehrError, match="holds no images but hidden ones"):
        image_files(folder)
    (only,) = image_files(folder / "._b.jpg")  # asked for by its name
    with pytest.raises(EdgehrError, match="not an image that OpenCV reads"):
        dict(read_images([only], read_image))


PHOTOGRAPH = read_image(photographs()[0])[100:300, 120:270]


@pytest.mark.parametrize("layout", views(PHOTOGRAPH))
def test_inference_takes_an_image_in_any_layout(layout: str) -> None:
    image, boxes = views(PHOTOGRAPH)[layout], [[10, 20, 100, 190], [50.5, 3, 160, 90]]
    assert fingerprint(image) == fingerprint(PHOTOGRAPH)
    for name in (DEFAULT_MODEL, "yolox-nano-coco-416x416"):
        task = Task.for_card(get_card(name))
        for given in (None, boxes[:1], boxes) if task.takes_boxes else (None,):
            expected, _ = task.preprocess(PHOTOGRAPH, given)
            np.testing.assert_array_equal(task.preprocess(image, given)[0], expected)
            np.testing.assert_array_equal(task.preprocess(read_only(image), given)[0], expected)
    assert encode_image(image, Path("a.png")) == encode_image(PHOTOGRAPH, Path("a.png"))
