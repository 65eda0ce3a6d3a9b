"""COCO annotation files: people with keypoints, objects with boxes, and detected boxes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgehr.errors import EdgehrError
from edgehr.evaluation.base import ImageSample

NUMBERS = (int, float)


@dataclass(frozen=True)
class Annotations:
    """A checked COCO keypoint file.

    Attributes:
        path: The file.
        data: What COCO's evaluation takes: images, annotations with keypoints, and their one category.
        category: Number of that category (1 for people in COCO; animal data sets have others).
        keypoints: How many keypoints each annotation has.
    """

    path: Path
    data: dict[str, Any]
    category: int
    keypoints: int

    @classmethod
    def read(cls, path: Path) -> Annotations:
        """Read and check a file.

        Raises:
            EdgehrError: It is not a COCO keypoint file, or nobody in it has a labeled keypoint.
        """
        data = _read_json(path)
        try:
            images = {image["id"]: _image(image) for image in data["images"]}
            people = [_person(person, images) for person in data["annotations"] if "keypoints" in person]
            counts = {len(person["keypoints"]) for person in people}
            categories = {person["category_id"] for person in people}
        except _WrongError as error:
            raise EdgehrError(f"{path}: not a COCO keypoint file: {error}") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise EdgehrError(f"{path}: not a COCO keypoint file: {type(error).__name__} {error}") from None
        if not any(map(_is_evaluated, people)):
            raise EdgehrError(f"{path}: not one annotation has a labeled keypoint, so there is nobody to evaluate")
        if len(counts) != 1 or len(categories) != 1:
            raise EdgehrError(
                f"{path}: annotations have {sorted(count // 3 for count in counts)} keypoints and categories "
                f"{sorted(categories)}; one of each is needed"
            )
        (category,), (count,) = categories, counts
        checked = {
            "images": list(images.values()),
            "annotations": people,
            "categories": [{"id": category, "name": "evaluated"}],
        }
        return cls(path, checked, category, count // 3)

    def ground_truth(self, images: Path) -> list[ImageSample]:
        """Give the images with the annotated boxes, clipped to the image, of everybody who has a labeled keypoint.

        Crowds are left out, as COCO's evaluation leaves them out. Raises EdgehrError where an image is missing.
        """
        people = self._people()
        found = []
        for image, path in self._files(images, people):
            areas = np.array([person["area"] for person, _ in people[image]], np.float32)
            found.append(replace(ImageSample.with_boxes(image, path, [box for _, box in people[image]]), areas=areas))
        return found

    def people(self) -> dict[int, list[dict[str, Any]]]:
        """Give annotations by number of the image, in the order of its boxes in `ground_truth`."""
        return {image: [person for person, _ in people] for image, people in self._people().items()}

    def _people(self) -> dict[int, list[tuple[dict[str, Any], list[float]]]]:
        """Collect who is evaluated, by image, with the part of the box, xyxy, that is in the image."""
        sizes = {image["id"]: (image["width"], image["height"]) for image in self.data["images"]}
        found: dict[int, list[tuple[dict[str, Any], list[float]]]] = {}
        for person in filter(_is_evaluated, self.data["annotations"]):
            width, height = sizes[person["image_id"]]
            x, y, w, h = person["bbox"]
            box = [max(0, x), max(0, y), min(width, x + w), min(height, y + h)]
            if box[2] > box[0] and box[3] > box[1]:
                found.setdefault(person["image_id"], []).append((person, box))
        return found

    def detected(self, images: Path, detections: Path) -> list[ImageSample]:
        """Give the images with the boxes of a COCO detection file.

        Raises:
            EdgehrError: The file is no such file, none of its boxes belongs to these images, or an image is missing.
        """
        known = {image["id"] for image in self.data["images"]}
        boxes: dict[int, list[list[float]]] = {}
        scores: dict[int, list[float]] = {}
        try:
            for detection in _read_json(detections):
                x, y, w, h = detection["bbox"]
                image = detection["image_id"]
                if image in known and detection.get("category_id", self.category) == self.category and w > 0 and h > 0:
                    boxes.setdefault(image, []).append([x, y, x + w, y + h])
                    scores.setdefault(image, []).append(float(detection["score"]))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise EdgehrError(
                f"{detections}: not a COCO detection file (a list of image_id, bbox, score): {error}"
            ) from None
        if not boxes:
            raise EdgehrError(f"{detections}: none of its boxes of this category belongs to an image of {self.path}")
        return [
            ImageSample.with_boxes(image, path, boxes[image], scores[image])
            for image, path in self._files(images, boxes)
        ]

    def first(self, people: int) -> Annotations:
        """Keep the first images, in the file's order, that hold at least so many people to evaluate."""
        counts = Counter(person["image_id"] for person in self.data["annotations"] if _is_evaluated(person))
        kept, found = [], 0
        for image in self.data["images"]:
            if found >= people:
                break
            kept.append(image)
            found += counts[image["id"]]
        numbers = {image["id"] for image in kept}
        annotations = [person for person in self.data["annotations"] if person["image_id"] in numbers]
        return replace(self, data={**self.data, "images": kept, "annotations": annotations})

    @property
    def images_beside(self) -> Path:
        """Find the images if nobody says where: `images/` beside the file, or else the file's own folder."""
        return images_beside(self.path)

    def _files(self, folder: Path, wanted: Container[int]) -> list[tuple[int, Path]]:
        return image_paths([image for image in self.data["images"] if image["id"] in wanted], folder)


@dataclass(frozen=True)
class BoxAnnotations:
    """A checked COCO file of objects with boxes.

    Attributes:
        path: The file.
        data: What COCO's evaluation takes: images, annotations with boxes, and categories.
        class_names: Name of each category, by its number.
    """

    path: Path
    data: dict[str, Any]
    class_names: dict[int, str]

    @classmethod
    def read(cls, path: Path) -> BoxAnnotations:
        """Read and check a file.

        Raises:
            EdgehrError: It is not a COCO file with boxes and named categories.
        """
        data = _read_json(path)
        try:
            images = {image["id"]: _image(image) for image in data["images"]}
            objects = [_object(entry, images) for entry in data["annotations"]]
            names = {int(category["id"]): str(category["name"]) for category in data["categories"]}
        except _WrongError as error:
            raise EdgehrError(f"{path}: not a COCO file: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise EdgehrError(f"{path}: not a COCO file: {type(error).__name__} {error}") from None
        checked = {"images": list(images.values()), "annotations": objects, "categories": data["categories"]}
        return cls(path, checked, names)


def images_beside(path: Path) -> Path:
    """Find the images of an annotation file if nobody says where: `images/` beside it, or else its own folder."""
    beside = path.parent / "images"
    return beside if beside.is_dir() else path.parent


def image_paths(images: list[dict[str, Any]], folder: Path) -> list[tuple[int, Path]]:
    """List number and file of images; raises EdgehrError where one is missing."""
    files = [(image["id"], folder / image["file_name"]) for image in images]
    for _, path in files:
        if not path.is_file():
            raise EdgehrError(f"{path}: the annotation file names this image, but it is not there")
    return files


def _is_evaluated(person: dict[str, Any]) -> bool:
    """Tell who is evaluated: COCO leaves out crowds and people without a labeled keypoint."""
    return bool(person["num_keypoints"] and not person["iscrowd"])


class _WrongError(Exception):
    """Says what is wrong with an annotation file."""


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgehrError(f"{path}: cannot read it: {error.strerror}") from None
    except ValueError as error:
        raise EdgehrError(f"{path}: not JSON: {error}") from None


def _image(image: Any) -> dict[str, Any]:
    for name in ("width", "height"):
        if not isinstance(image.get(name), NUMBERS):
            raise _WrongError(f"image {image['id']} has no {name}")
    if not isinstance(image["id"], int) or not isinstance(image.get("file_name"), str):
        raise _WrongError(f"image {image['id']!r} needs a whole number as id and a file_name")
    return dict(image)


def _object(entry: Any, images: dict[int, Any]) -> dict[str, Any]:
    """Check what every annotation has, and copy it with all that COCO's evaluation of boxes reads."""
    for name in ("id", "image_id", "category_id"):
        if not isinstance(entry.get(name), int):
            raise _WrongError(f"an annotation has no {name}")
    number = entry["id"]
    if entry["image_id"] not in images:
        raise _WrongError(f"annotation {number} is of image {entry['image_id']}, which is not listed")
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, NUMBERS) for value in box):
        raise _WrongError(f"annotation {number} has no bbox of four numbers")
    area = entry.get("area")
    return {**entry, "iscrowd": int(entry.get("iscrowd", 0)), "area": box[2] * box[3] if area is None else area}


def _person(person: Any, images: dict[int, Any]) -> dict[str, Any]:
    """Check an annotation with keypoints, and copy it with all that COCO's evaluation reads."""
    checked, number, keypoints = _object(person, images), person["id"], person["keypoints"]
    if not isinstance(keypoints, list) or len(keypoints) % 3 or not all(isinstance(v, NUMBERS) for v in keypoints):
        raise _WrongError(f"annotation {number} has keypoints that are not x, y, visibility")
    if not isinstance(person.get("area"), NUMBERS):
        raise _WrongError(f"annotation {number} has no area, which OKS needs")
    return {**checked, "num_keypoints": sum(value > 0 for value in keypoints[2::3])}
