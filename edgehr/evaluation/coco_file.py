"""COCO files as people have them: checked entry by entry, and put into the form that COCO's evaluation takes.

What can be read in one way only is read: numbers written as text, ids of annotations that repeat. What is missing is
taken from the rest of the entry, with a warning. Everything else is refused before any work starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.files import read_json
from edgehr.notices import warn_once

# A person's area in the usual parts of their box, for OKS: what xtcocotools and CrowdPose's evaluation take where no
# outline is annotated.
AREA_OF_BOX = 0.53
# An area below this part of its box is no measurement (of COCO's people the least is 0.03), nor is one above.
MIN_AREA_OF_BOX, MAX_AREA_OF_BOX = 0.01, 1.1
# Around the labeled keypoints of a person without a box, in parts of their larger extent.
KEYPOINT_MARGIN = 0.15
# Boxes and keypoints may reach so far beyond their picture, in parts of its size; in so many entries more is a mistake.
MAX_BEYOND, MAX_ODD = 0.05, 0.2

# Above it are numbers that NumPy's integers do not take, infinities and NaN.
MAX_NUMBER = 1e18

Entry = dict[str, Any]


class CocoFile:
    """A COCO annotation file, read and checked.

    Args:
        path: The file.
        adapt: Changes annotations before they are read, those of another form.

    Attributes:
        path: The file.
        images: Its pictures by id, each with `file_name`, `width` and `height`.
        categories: Its categories, each with `id` and `name`; none where the file lists none.

    Raises:
        EdgehrError: It is not a COCO file, or a picture's entry is wrong.
    """

    def __init__(self, path: Path, adapt: Callable[[Entry], Entry] | None = None) -> None:
        self.path = path
        self._repairs: Counter[str] = Counter()
        data = read_json(path)
        lists = [data.get(name) if isinstance(data, dict) else None for name in ("images", "annotations")]
        if not all(isinstance(entries, list) for entries in lists):
            raise EdgehrError(f"{path}: not a COCO file: it has no lists of images and annotations")
        self._annotations: list[Any] = data["annotations"]
        if adapt:
            self._annotations = [adapt(entry) if isinstance(entry, dict) else entry for entry in self._annotations]
        self.images = self._read_images(data["images"])
        self.categories = self._read_categories(data.get("categories") or [])

    def objects(self) -> list[Entry]:
        """Return annotations of objects: their boxes, areas, categories and whether they are crowds.

        Raises:
            EdgehrError: One of them is wrong.
        """
        found = []
        for where, entry in self._entries(self._annotations, "annotations"):
            checked = self._object(where, entry)
            box = self._box(where, entry)
            if box is None:
                raise self._wrong(where, "bbox must be four numbers", entry.get("bbox"))
            if min(box[2:]) <= 0:
                self._repairs["annotations have an empty bbox and count as missed"] += 1
            area = self._area(entry, box)
            found.append({**checked, "bbox": box, "area": box[2] * box[3] if area is None else area})
        self._check_plausible(found)
        self._tell_repairs(len(found))
        return _numbered(found)

    def people(self, *, margin: float = KEYPOINT_MARGIN, with_area: bool = True) -> list[Entry]:
        """Return the annotations that have keypoints, these as x, y, visibility; the others are left out.

        Args:
            margin: Around the keypoints of those without a box, in parts of their larger extent.
            with_area: Whether areas matter, so that it is said where they are missing.

        Raises:
            EdgehrError: One of them is wrong.
        """
        found = []
        for where, entry in self._entries(self._annotations, "annotations"):
            if not entry.get("keypoints"):
                continue
            checked = self._object(where, entry)
            keypoints = self._keypoints(where, entry["keypoints"])
            labeled = keypoints[keypoints[:, 2] > 0, :2]
            box = self._box(where, entry)
            counts = bool(len(labeled)) and not checked["iscrowd"]
            area = self._area(entry, box)
            if counts and (box is None or min(box[2:]) <= 0):
                box = _box_around(labeled, margin)
                self._repairs["people have no bbox: the extent of their keypoints is taken"] += 1
            if area is None:
                area = AREA_OF_BOX * box[2] * box[3] if box else 0.0
                if counts and with_area:
                    self._repairs[
                        f"people have no usable area, which OKS needs: {AREA_OF_BOX} of their box is taken"
                    ] += 1
            flat = keypoints.ravel().tolist()
            more = {"keypoints": flat, "num_keypoints": len(labeled), "bbox": box or [0, 0, 0, 0], "area": area}
            found.append({**checked, **more})
        evaluated = [person for person in found if person["num_keypoints"] and not person["iscrowd"]]
        self._check_plausible(evaluated)
        self._tell_repairs(len(evaluated))
        return _numbered(found)

    def _read_images(self, entries: list[Any]) -> dict[int, Entry]:
        images: dict[int, Entry] = {}
        for where, entry in self._entries(entries, "images"):
            number = self._whole(where, entry, "id")
            if not isinstance(name := entry.get("file_name"), str) or not name:
                raise self._wrong(where, "file_name must be a text", name)
            sizes = {side: self._whole(where, entry, side) for side in ("width", "height")}
            if min(sizes.values()) <= 0:
                raise EdgehrError(f"{self.path}: {where}: width and height must be above 0, got {sizes}")
            image = {**entry, "id": number, **sizes}
            if number in images and images[number] != image:
                raise EdgehrError(
                    f"{self.path}: {where}: two pictures have the id {number}, {images[number]['file_name']} and "
                    f"{name}: give each its own, in images and in annotations"
                )
            images[number] = image
        return images

    def _read_categories(self, entries: Any) -> list[Entry]:
        if not isinstance(entries, list):
            raise EdgehrError(f"{self.path}: not a COCO file: categories is not a list")
        found = []
        for where, entry in self._entries(entries, "categories"):
            if not isinstance(entry.get("name"), str):
                raise self._wrong(where, "name must be a text", entry.get("name"))
            found.append({**entry, "id": self._whole(where, entry, "id")})
        for number, times in Counter(entry["id"] for entry in found).items():
            if times > 1:
                raise EdgehrError(f"{self.path}: {times} categories have the id {number}")
        return found

    def _object(self, where: str, entry: Entry) -> Entry:
        """Check what every annotation has."""
        image = self._whole(where, entry, "image_id")
        if image not in self.images:
            raise EdgehrError(f"{self.path}: {where} is of image {image}, which is not listed")
        category, crowd = self._whole(where, entry, "category_id"), as_flag(entry.get("iscrowd", 0))
        if crowd is None:
            raise self._wrong(where, "iscrowd must be 0 or 1", entry.get("iscrowd"))
        return {**entry, "image_id": image, "category_id": category, "iscrowd": crowd}

    def _box(self, where: str, entry: Entry) -> list[float] | None:
        """Read x, y, width and height; None where there is no box at all."""
        if entry.get("bbox") is None:
            return None
        return check_box(self.path, where, entry["bbox"])

    def _area(self, entry: Entry, box: list[float] | None) -> float | None:
        """Read the area; None where there is none, or none that can be of this box."""
        area = as_number(entry.get("area"))
        if area is None or area <= 0 or (box and area < MIN_AREA_OF_BOX * box[2] * box[3]):
            return None
        if box and area > MAX_AREA_OF_BOX * box[2] * box[3] > 0:
            self._repairs["annotations have an area larger than their bbox, so that AP says too much"] += 1
        return area

    def _keypoints(self, where: str, values: Any) -> NDArray[np.float64]:
        """Read keypoints to (K, 3) x, y, visibility."""
        try:
            table = np.array(values, np.float64).reshape(-1, 3)
        except (ValueError, TypeError):
            raise self._wrong(where, "keypoints must be x, y, visibility of each", values) from None
        if not np.isfinite(table).all():
            raise self._wrong(where, "keypoints must be numbers", values)
        return table

    def _check_plausible(self, entries: list[Entry]) -> None:
        """Warn of boxes and keypoints that are given in another form than COCO's, which no single entry can tell."""
        if not entries:
            return
        boxes = np.array([entry["bbox"] for entry in entries], np.float64)
        images = [self.images[entry["image_id"]] for entry in entries]
        sizes = np.array([(image["width"], image["height"]) for image in images], np.float64)
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        slack = MAX_BEYOND * sizes
        beyond = np.asarray(((low < -slack) | (high > sizes + slack)).any(axis=1))
        self._warn_if_many(beyond, "boxes reach beyond their picture: is bbox x, y, width, height in its pixels?")
        longest = boxes[:, 2:].max(axis=1)
        tiny = (longest > 0) & (longest <= 1)
        self._warn_if_many(tiny, "boxes are smaller than a pixel: is bbox in pixels, not in parts of the picture?")
        if len({len(entry.get("keypoints", ())) for entry in entries}) == 1 and "keypoints" in entries[0]:
            points = np.array([entry["keypoints"] for entry in entries]).reshape(len(entries), -1, 3)
            around = (KEYPOINT_MARGIN * longest + 1)[:, None]
            places, labeled = points[..., :2], points[..., 2] > 0
            inside = ((places >= (low - around)[:, None]) & (places <= (high + around)[:, None])).all(axis=2)
            lost: NDArray[np.bool_] = (inside & labeled).sum(axis=1) < 0.5 * labeled.sum(axis=1)
            self._warn_if_many(lost, "people have their keypoints outside their bbox: are both in its pixels?")

    def _warn_if_many(self, odd: NDArray[np.bool_], text: str) -> None:
        if odd.mean() > MAX_ODD:
            warn_once("evaluation", f"{self.path}: {odd.sum()} of {len(odd)} {text}")

    def _tell_repairs(self, total: int) -> None:
        for text, count in self._repairs.items():
            warn_once("evaluation", f"{self.path}: {count} of {total} {text}")
        self._repairs.clear()

    def _entries(self, entries: list[Any], name: str) -> Iterator[tuple[str, Entry]]:
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self._wrong(f"{name}[{place}]", "must be an object", entry)
            yield f"{name}[{place}]", entry

    def _whole(self, where: str, entry: Entry, name: str) -> int:
        return check_whole(self.path, where, entry, name)

    def _wrong(self, where: str, what: str, value: Any) -> EdgehrError:
        return wrong(self.path, where, what, value)


def check_whole(path: Path, where: str, entry: Entry, name: str) -> int:
    """Read a whole number of an entry; raises EdgehrError where it is none."""
    number = as_number(entry.get(name))
    if number is None or number != int(number):
        raise wrong(path, where, f"{name} must be a whole number", entry.get(name))
    return int(number)


def check_box(path: Path, where: str, box: Any) -> list[float]:
    """Read x, y, width and height; raises EdgehrError where they are no four finite numbers."""
    values = [as_number(value) for value in box] if isinstance(box, list) else []
    if len(values) != 4 or None in values:
        raise wrong(path, where, "bbox must be four numbers", box)
    return [value for value in values if value is not None]


def as_number(value: Any) -> float | None:
    """Read a finite number, which may be written as text; None where it is none."""
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().lstrip("-").isdecimal() else float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAX_NUMBER:
        return None
    return value


def as_flag(value: Any) -> int | None:
    """Read 0 or 1, which may be written as a truth value or as text; None where it is neither."""
    text = str(value).strip().lower()
    return 1 if text in ("1", "1.0", "true") else 0 if text in ("0", "0.0", "false", "none") else None


def wrong(path: Path, where: str, what: str, value: Any) -> EdgehrError:
    """Say what is wrong with which entry of a file."""
    shown = repr(value)
    return EdgehrError(f"{path}: {where}: {what}, got {shown if len(shown) <= 60 else shown[:57] + '...'}")


def _numbered(annotations: list[Entry]) -> list[Entry]:
    """Number annotations from 1 on: their own ids mean nothing to anybody else.

    COCO's evaluation takes a match with annotation 0 for none, and mixes those up that share an id.
    """
    return [{**entry, "id": number} for number, entry in enumerate(annotations, 1)]


def _box_around(points: NDArray[np.float64], share: float) -> list[float]:
    """Return the box, x, y, width, height, of labeled keypoints (N, 2), with a margin; empty around a single one."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = share * (high - low).max()
    return [*(low - margin).tolist(), *(high - low + 2 * margin).tolist()]
