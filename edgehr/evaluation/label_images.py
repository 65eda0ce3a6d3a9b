"""Label images: the true class of each pixel, as data sets for segmentation have them.

The value of a pixel says its class, by the card's `label_values`. A file `label_map.json` beside the label images says
it otherwise: ``{"classes": {"7": "road", "8": 1}, "ignored": [0, 255]}``, values with the names or numbers of classes.
Color images are read by the card's palette. Cityscapes' ``_labelIds`` are known by their names.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.files import read_json
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import PNG, decode_image
from edgehr.tasks.segmentation.spec import LABEL_VALUES, SegmentationSpec, class_id

LABEL_MAP = "label_map.json"
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")  # without loss

# What data sets add to a name, of images and of label images, the ones to prefer first.
_IMAGE_ENDINGS = ("_leftImg8bit", "")
_LABEL_ENDINGS = ("_gtFine_labelTrainIds", "_gtFine_labelIds", "_instance_color_RGB", "_labels", "_mask", "")

# Cityscapes' own values of the 19 classes that are evaluated, in their order; all others are not evaluated.
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_CITYSCAPES_END = "_labelIds"

# Of pixels that belong to no class, where a palette does not have them: unlabeled ones, and VOC's borders of objects.
_IGNORED_COLORS = ((0, 0, 0), (224, 224, 192))

IGNORED, UNKNOWN = -1, -2
_SCALES = {1: 255, 2: 85, 4: 17, 8: 1}  # by which OpenCV multiplies grayscale of so many bits

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class LabelMap:
    """Tells what the values of label images mean.

    Attributes:
        table: (65536,) int32: the class of each value, `IGNORED` or `UNKNOWN`.
        colors: The class of each color (red, green, blue), or `IGNORED`.
    """

    table: Labels
    colors: Mapping[tuple[int, int, int], int]

    @classmethod
    def of(cls, spec: SegmentationSpec, folder: Path) -> LabelMap:
        """Take the map of a folder of label images: that of its `label_map.json`, or else the card's.

        Raises:
            EdgehrError: The file cannot be read, or names classes that the model has not.
        """
        path = folder / LABEL_MAP
        classes: Mapping[int, int]
        if path.is_file():
            classes, ignored = _read_map(path, spec)
        else:
            values = spec.label_values or range(len(spec.classes))
            classes, ignored = {value: number for number, value in enumerate(values)}, spec.ignored_values
        colors = dict.fromkeys(_IGNORED_COLORS, IGNORED)
        colors |= {color: number for number, color in enumerate(spec.palette)}
        return cls(_table(classes, ignored), colors)

    def read(self, path: Path, card: ModelCard, size: tuple[int, int]) -> Labels:
        """Read a label image as the numbers of classes, (H, W) int32, `IGNORED` where none is to be evaluated.

        Args:
            path: The file.
            card: The model whose classes these are.
            size: Height and width of the image that it belongs to.

        Raises:
            EdgehrError: It cannot be read, is of another size, or holds values or colors of no class.
        """
        values = _read_values(path)
        if values.shape[:2] != size:
            raise EdgehrError(
                f"{path}: is {values.shape[1]}x{values.shape[0]} pixels, its image {size[1]}x{size[0]}: label images "
                "must have their images' size"
            )
        if values.ndim == 3:
            return self._from_colors(values, path, card)
        spec, table = card.spec_as(SegmentationSpec), self.table
        if path.stem.endswith(_CITYSCAPES_END) and len(spec.classes) == len(_CITYSCAPES_IDS):
            table = _table({value: number for number, value in enumerate(_CITYSCAPES_IDS)}, range(256))
        labels: Labels = table[values]
        if (wrong := values[labels == UNKNOWN]).size:
            found = ", ".join(map(str, np.unique(wrong)[:5]))
            raise EdgehrError(
                f"{path}: holds values of no class of {card.name} ({found}; {100 * wrong.size / values.size:.1f} % of "
                f"its pixels): say what they mean in {LABEL_MAP} beside it"
            )
        return labels

    def _from_colors(self, values: NDArray[Any], path: Path, card: ModelCard) -> Labels:
        packed = values.astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)  # blue, green, red
        found, places = np.unique(packed, return_inverse=True)
        named = [(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in found]
        unknown = [color for color in named if color not in self.colors]
        if unknown:
            raise EdgehrError(
                f"{path}: is a color image with {len(unknown)} colors that are not in the palette of {card.name}, as "
                f"{unknown[0]} (red, green, blue): give label images whose values are numbers of classes"
            )
        labels: Labels = np.array([self.colors[color] for color in named], np.int32)[places].reshape(packed.shape)
        return labels


def label_files(images: Sequence[Path], root: Path, folder: Path) -> list[Path]:
    """Find the label image of each image: of its name but for what data sets add to it, in the same subfolder.

    Raises:
        EdgehrError: An image has none.
    """
    found: dict[tuple[Path, str], Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in LABEL_SUFFIXES and not path.name.startswith("."):
            found[path.parent.relative_to(folder), path.stem] = path
    if not found:
        raise EdgehrError(f"{folder}: holds no label images ({', '.join(LABEL_SUFFIXES)})")
    chosen = []
    for image in images:
        name = image.stem.removesuffix(_IMAGE_ENDINGS[0])
        place = image.parent.relative_to(root)
        names = [(place, f"{stem}{ending}") for stem in dict.fromkeys((name, image.stem)) for ending in _LABEL_ENDINGS]
        label = next((found[each] for each in names if each in found), None)
        if label is None:
            raise EdgehrError(f"{folder / place}: has no label image for {image} (expected {name}.png)")
        chosen.append(label)
    return chosen


def _table(classes: Mapping[int, int], ignored: Sequence[int]) -> Labels:
    table = np.full(LABEL_VALUES, UNKNOWN, np.int32)
    table[list(ignored)] = IGNORED
    table[list(classes)] = list(classes.values())
    return table


def _read_map(path: Path, spec: SegmentationSpec) -> tuple[dict[int, int], tuple[int, ...]]:
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("classes"), dict):
        raise EdgehrError(f'{path}: must be {{"classes": {{"value": "class"}}, "ignored": [values]}}')
    try:
        ignored = tuple(_value(value) for value in data.get("ignored", [255]))
        classes = {_value(value): _class(name, spec) for value, name in data["classes"].items()}
    except (TypeError, ValueError, EdgehrError) as error:
        raise EdgehrError(f"{path}: {error}") from None
    return classes, ignored


def _value(value: Any) -> int:
    number = int(value)
    if not 0 <= number < LABEL_VALUES:
        raise ValueError(f"values of label images must be 0 to {LABEL_VALUES - 1}, got {value!r}")
    return number


def _class(name: Any, spec: SegmentationSpec) -> int:
    if isinstance(name, str):
        return class_id(spec.classes, name)
    if isinstance(name, bool) or not isinstance(name, int) or not 0 <= name < len(spec.classes):
        raise ValueError(f"classes must be names, or numbers of 0 to {len(spec.classes) - 1}, got {name!r}")
    return name


def _read_values(path: Path) -> NDArray[Any]:
    """Read values (H, W) uint8 or uint16, or colors (H, W, 3) uint8 BGR; of a PNG with a palette, the indices."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EdgehrError(f"{path}: cannot read it: {error.strerror}") from None
    content, scale = _indices(content)
    values = decode_image(content, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise EdgehrError(f"{path}: not a label image that OpenCV reads")
    if values.dtype not in (np.uint8, np.uint16):
        raise EdgehrError(f"{path}: label images must have 8 or 16 bits, got {values.dtype}")
    if values.ndim == 3:
        values = values[..., :3]
        if (values == values[..., :1]).all():  # gray after all
            values = values[..., 0]
        elif values.dtype != np.uint8:
            raise EdgehrError(f"{path}: a color image of 16 bits is no label image")
    return np.asarray(values // scale if scale > 1 else values)


def _indices(content: bytes) -> tuple[bytes, int]:
    """Take the palette out of a PNG, so that OpenCV returns indices in place of colors.

    Returns:
        The file, and what OpenCV multiplies its values by.
    """
    if content[:8] != PNG or content[12:16] != b"IHDR" or len(content) < 33:
        return content, 1
    width, height, bits, kind, *rest = struct.unpack(">IIBBBBB", content[16:29])
    if kind not in (0, 3) or bits not in _SCALES:
        return content, 1
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, 0, *rest)
    kept, place = [PNG, struct.pack(">I", 13), header, struct.pack(">I", zlib.crc32(header))], 33
    while place + 12 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        if content[place + 4 : place + 8] in (b"IDAT", b"IEND"):
            kept.append(content[place : place + 12 + length])
        place += 12 + length
    return b"".join(kept), _SCALES[bits]
