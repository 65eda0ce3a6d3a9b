"""People in annotated images: COCO keypoint files and COCO detection files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError

PERSON = 1


@dataclass(frozen=True)
class PeopleImage:
    """One image and the boxes in it to estimate poses in.

    Attributes:
        image_id: The annotation file's number of the image.
        path: The image file.
        boxes: (N, 4) float32 xyxy pixels.
        box_scores: (N,) float32; 1 for annotated boxes.
    """

    image_id: int
    path: Path
    boxes: NDArray[np.float32]
    box_scores: NDArray[np.float32]


def read_json(path: Path) -> Any:
    """Parse a JSON file; raises EdgehrError where that fails."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgehrError(f"{path}: cannot read it: {error.strerror}") from None
    except ValueError as error:
        raise EdgehrError(f"{path}: not JSON: {error}") from None


def annotated_people(annotations: Path, images: Path) -> list[PeopleImage]:
    """The images of a COCO keypoint file with the annotated boxes of everybody who has a labelled keypoint.

    Boxes are clipped to the image; crowds are left out, as COCO's evaluation leaves them out.

    Raises:
        EdgehrError: The file is not a COCO keypoint file, or an image is missing.
    """
    data = _coco(annotations)
    boxes: dict[int, list[list[float]]] = {}
    sizes = {image["id"]: (image["width"], image["height"]) for image in data["images"]}
    for person in data["annotations"]:
        if person.get("iscrowd") or not any(person["keypoints"][2::3]):
            continue
        width, height = sizes[person["image_id"]]
        x, y, w, h = person["bbox"]
        box = [max(0, x), max(0, y), min(width, x + w), min(height, y + h)]
        if box[2] > box[0] and box[3] > box[1]:
            boxes.setdefault(person["image_id"], []).append(box)
    return _images(data, images, boxes, {image: [1.0] * len(found) for image, found in boxes.items()})


def detected_people(annotations: Path, images: Path, detections: Path) -> list[PeopleImage]:
    """The images of a COCO keypoint file with the person boxes of a COCO detection file.

    Raises:
        EdgehrError: A file is not what it should be, an image is missing, or no detection belongs to these images.
    """
    data = _coco(annotations)
    known = {image["id"] for image in data["images"]}
    boxes: dict[int, list[list[float]]] = {}
    scores: dict[int, list[float]] = {}
    found = read_json(detections)
    try:
        for detection in found:
            x, y, w, h = detection["bbox"]
            image = detection["image_id"]
            if image in known and detection.get("category_id", PERSON) == PERSON and w > 0 and h > 0:
                boxes.setdefault(image, []).append([x, y, x + w, y + h])
                scores.setdefault(image, []).append(float(detection["score"]))
    except (TypeError, KeyError, ValueError) as error:
        raise EdgehrError(
            f"{detections}: not a COCO detection file (a list of image_id, bbox, score): {error}"
        ) from None
    if not boxes:
        raise EdgehrError(f"{detections}: none of its person boxes belongs to an image of {annotations}")
    return _images(data, images, boxes, scores)


def keypoint_count(annotations: Path) -> int:
    """How many keypoints each person of a COCO keypoint file has."""
    return len(_coco(annotations)["annotations"][0]["keypoints"]) // 3


def _coco(path: Path) -> Any:
    data = read_json(path)
    people = data.get("annotations") if isinstance(data, dict) else None
    if not people or not data.get("images") or "keypoints" not in people[0]:
        raise EdgehrError(f"{path}: not a COCO keypoint file: it needs images and annotations with keypoints")
    return data


def _images(
    data: Any, folder: Path, boxes: dict[int, list[list[float]]], scores: dict[int, list[float]]
) -> list[PeopleImage]:
    result = []
    for image in data["images"]:
        number = image["id"]
        if number not in boxes:
            continue
        path = folder / image["file_name"]
        if not path.is_file():
            raise EdgehrError(f"{path}: the annotation file names this image, but it is not there")
        result.append(
            PeopleImage(number, path, np.array(boxes[number], np.float32), np.array(scores[number], np.float32))
        )
    return result
