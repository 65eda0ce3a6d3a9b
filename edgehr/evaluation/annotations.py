"""COCO annotation files: people with keypoints, objects with boxes, and detected boxes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgehr.errors import EdgehrError
from edgehr.evaluation.coco_file import CocoFile, Entry, as_number, check_box, check_whole, wrong
from edgehr.evaluation.dataset import ImageSample, file_in
from edgehr.files import read_json
from edgehr.notices import warn_once


@dataclass(frozen=True)
class Annotations:
    """A checked COCO keypoint file.

    Attributes:
        path: The file.
        data: What COCO's evaluation takes: images, annotations with keypoints, and their one category.
        category: Number of that category (1 for people in COCO; animal data sets have others).
        keypoints: How many keypoints each annotation has.
        names: What the file calls them, in their order; none where it does not say.
    """

    path: Path
    data: dict[str, Any]
    category: int
    keypoints: int
    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Annotations:
        """Read and check a file; see `edgehr.evaluation.coco_file` for what is repaired.

        Raises:
            EdgehrError: It is not a COCO keypoint file, or nobody in it has a labeled keypoint.
        """
        file = CocoFile(path)
        people = file.people()
        if not any(map(_is_evaluated, people)):
            raise EdgehrError(f"{path}: not one annotation has a labeled keypoint, so there is nobody to evaluate")
        counts = {len(person["keypoints"]) for person in people}
        categories = {person["category_id"] for person in people}
        if len(counts) != 1 or len(categories) != 1:
            raise EdgehrError(
                f"{path}: annotations have {sorted(count // 3 for count in counts)} keypoints and categories "
                f"{sorted(categories)}; one of each is needed"
            )
        (category,), (count,) = categories, counts
        described = next((entry for entry in file.categories if entry["id"] == category), {})
        names = described.get("keypoints")
        checked = {
            "images": list(file.images.values()),
            "annotations": people,
            "categories": [{"id": category, "name": "evaluated"}],
        }
        return cls(path, checked, category, count // 3, tuple(map(str, names)) if isinstance(names, list) else ())

    def ground_truth(self, images: Path) -> list[ImageSample]:
        """Give the images with the annotated boxes, clipped to the image, of everybody who has a labeled keypoint.

        Crowds are left out, as COCO's evaluation leaves them out. Raises EdgehrError where an image is missing.
        """
        people = self._people()
        evaluated, boxed = sum(map(_is_evaluated, self.data["annotations"])), sum(map(len, people.values()))
        if not boxed:
            raise EdgehrError(f"{self.path}: nobody has a box that lies in the picture")
        if boxed < evaluated:
            lost = evaluated - boxed
            warn_once(
                "evaluation",
                f"{self.path}: {lost} of {evaluated} people have no box in their picture and count as missed",
            )
        found = []
        for image, path, size in self._files(images, people):
            areas = np.array([person["area"] for person, _ in people[image]], np.float32)
            sample = ImageSample.with_boxes(image, path, [box for _, box in people[image]])
            found.append(replace(sample, areas=areas, size=size))
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
        sizes = {image["id"]: (image["width"], image["height"]) for image in self.data["images"]}
        boxes: dict[int, list[list[float]]] = {}
        scores: dict[int, list[float]] = {}
        lost, total = Counter[str](), 0
        for image, category, (x, y, w, h), score in _detections(detections):
            if image not in sizes or category not in (None, self.category):
                continue
            total += 1
            width, height = sizes[image]
            if np.float32(x + w) <= np.float32(x) or np.float32(y + h) <= np.float32(y):
                lost["empty"] += 1
            elif x >= width or y >= height or x + w <= 0 or y + h <= 0:
                lost["outside their picture"] += 1
            else:
                boxes.setdefault(image, []).append([x, y, x + w, y + h])
                scores.setdefault(image, []).append(score)
        for what, count in lost.items():
            warn_once("evaluation", f"{detections}: {count} of {total} boxes are {what} and left out")
        if not boxes:
            raise EdgehrError(f"{detections}: none of its boxes of this category belongs to an image of {self.path}")
        return [
            replace(ImageSample.with_boxes(image, path, boxes[image], scores[image]), size=size)
            for image, path, size in self._files(images, boxes)
        ]

    def first(self, people: int) -> Annotations:
        """Keep the first images, in the file's order, that hold at least so many people to evaluate."""
        counts = Counter(person["image_id"] for person in self.data["annotations"] if _is_evaluated(person))
        left_out, found = set(), 0
        for image in self.data["images"]:
            if found >= people:
                left_out.add(image["id"])
            found += counts[image["id"]]
        return self.without(left_out)

    def without(self, numbers: Container[int]) -> Annotations:
        """Leave out the images with these numbers, and their people."""
        images = [image for image in self.data["images"] if image["id"] not in numbers]
        annotations = [person for person in self.data["annotations"] if person["image_id"] not in numbers]
        return replace(self, data={**self.data, "images": images, "annotations": annotations})

    @property
    def images_beside(self) -> Path:
        """Find the images if nobody says where: `images/` beside the file, or else the file's own folder."""
        return images_beside(self.path)

    def _files(self, folder: Path, wanted: Container[int]) -> list[tuple[int, Path, tuple[int, int]]]:
        return listed_images([image for image in self.data["images"] if image["id"] in wanted], folder)


@dataclass(frozen=True)
class BoxAnnotations:
    """A checked COCO file of objects with boxes.

    Attributes:
        path: The file.
        data: What COCO's evaluation takes: images, annotations with boxes, and categories.
        class_names: Name of each category, by its number.
        has_masks: Whether the annotations have checked masks.
    """

    path: Path
    data: dict[str, Any]
    class_names: dict[int, str]
    has_masks: bool = False

    @classmethod
    def read(cls, path: Path) -> BoxAnnotations:
        """Read and check a file.

        Raises:
            EdgehrError: It is not a COCO file with boxes and named categories.
        """
        file = CocoFile(path)
        if not file.categories:
            raise EdgehrError(f"{path}: not a COCO file of objects: it lists no categories")
        objects, known = file.objects(), {entry["id"] for entry in file.categories}
        unknown = sorted({entry["category_id"] for entry in objects} - known)
        if unknown:
            raise EdgehrError(f"{path}: annotations are of category {unknown[0]}, which is not listed")
        checked = {"images": list(file.images.values()), "annotations": objects, "categories": file.categories}
        return cls(path, checked, {entry["id"]: entry["name"] for entry in file.categories})


def annotated_people(path: Path, images: Path | None = None) -> list[ImageSample]:
    """Give the images of a COCO keypoint file with the boxes of their people; see `Annotations.ground_truth`.

    Args:
        path: The file.
        images: The folder of its images; by default where such files have them.
    """
    annotations = Annotations.read(path)
    return annotations.ground_truth(images or annotations.images_beside)


def images_beside(path: Path) -> Path:
    """Find the images of an annotation file if nobody says where: `images/` beside it, or else its own folder."""
    beside = path.parent / "images"
    return beside if beside.is_dir() else path.parent


def listed_images(images: list[Entry], folder: Path) -> list[tuple[int, Path, tuple[int, int]]]:
    """List number, file, and width and height of images; raises EdgehrError where one is missing or elsewhere."""
    files = [(image["id"], file_in(folder, image["file_name"]), (image["width"], image["height"])) for image in images]
    for _, path, _ in files:
        if not os.path.isfile(path):  # Path.is_file raises OSError for a name that is too long
            raise EdgehrError(f"{path}: the annotation file names this image, but it is not there")
    return files


def _is_evaluated(person: Entry) -> bool:
    """Tell who is evaluated: COCO leaves out crowds and people without a labeled keypoint."""
    return bool(person["num_keypoints"] and not person["iscrowd"])


def _detections(path: Path) -> Iterator[tuple[int, int | None, list[float], float]]:
    """Read a detection file: image and category, x, y, width and height, and score of each box."""
    data = read_json(path)
    if isinstance(data, dict):  # as some tools wrap it
        data = data.get("annotations")
    if not isinstance(data, list):
        raise EdgehrError(f"{path}: not a COCO detection file: it is no list of image_id, bbox and score")
    for place, entry in enumerate(data):
        where = f"entry {place}"
        if not isinstance(entry, dict):
            raise wrong(path, where, "must be an object", entry)
        score = as_number(entry.get("score"))
        if score is None:
            raise wrong(path, where, "score must be a number", entry.get("score"))
        category = check_whole(path, where, entry, "category_id") if "category_id" in entry else None
        yield check_whole(path, where, entry, "image_id"), category, check_box(path, where, entry.get("bbox")), score
