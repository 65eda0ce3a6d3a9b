"""Annotated faces: COCO-like files of WFLW, 300W, COFW and AFLW as mmpose has them, and COCO-WholeBody's.

A face's box is the square of ``center`` and ``scale`` (its side in units of 200 pixels) where these are given, as the
data sets' own protocol has it, or else ``bbox``, or else the extent of its landmarks, which is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import images_beside, listed_images
from edgehr.evaluation.coco_file import CocoFile, Entry, as_number, wrong
from edgehr.evaluation.dataset import ImageSample
from edgehr.notices import warn_once
from edgehr.tasks.landmarks.spec import LandmarksSpec

SCALE_PIXELS = 200  # of mmpose's and HRNet's `scale`


@dataclass(frozen=True)
class Face:
    """Holds what is true of a face.

    Attributes:
        points: (K, 3) x, y in image pixels, and whether the landmark is labeled (above 0).
        unit: The normalizer of errors, pixels.
    """

    points: NDArray[np.float64]
    unit: float


def read_faces(
    path: Path, card: ModelCard, images: Path | None = None, most: int = 0
) -> tuple[list[ImageSample], dict[int, list[Face]]]:
    """Read the faces that a model can be judged on.

    Args:
        path: The annotation file.
        card: The model.
        images: The folder of its images; by default where such files have them.
        most: Stop after the images that hold so many faces; 0 takes all.

    Returns:
        The images with the faces' boxes, and what is true of these, by number of the image.

    Raises:
        EdgehrError: It is not such a file, is of another set of landmarks, holds no face that errors can be measured
            in, or an image is missing.
    """
    spec = card.spec_as(LandmarksSpec)
    file = CocoFile(path, _of_whole_body)
    entries = [entry for entry in file.people(margin=0, with_area=False) if entry["num_keypoints"]]
    entries = [entry for entry in entries if not entry["iscrowd"]]
    if not entries:
        raise EdgehrError(f"{path}: not one face has a labeled landmark, so there is nothing to evaluate")
    counts, wanted = sorted({len(entry["keypoints"]) // 3 for entry in entries}), spec.num_outputs
    if counts != [wanted]:
        raise EdgehrError(
            f"{path}: its faces have {' or '.join(map(str, counts))} landmarks, {card.name} finds {wanted}: give faces "
            "of the data set that the model is for"
        )
    boxes: dict[int, list[NDArray[np.float64]]] = {}
    faces: dict[int, list[Face]] = {}
    without, total = 0, 0
    for entry in entries:
        number = entry["image_id"]
        if most and total >= most and number not in faces:
            continue
        total += 1
        points = np.array(entry["keypoints"], np.float64).reshape(-1, 3)
        box = _box(path, entry)
        unit = _unit(path, entry, points, box, spec)
        if unit > 0 and min(box[2:] - box[:2]) > 0:
            boxes.setdefault(number, []).append(box)
            faces.setdefault(number, []).append(Face(points, unit))
        else:
            without += 1
    if not faces:
        raise EdgehrError(f"{path}: in no face is the {spec.normalizer_name} above 0, which errors are divided by")
    if without:
        what = f"{without} of {total} faces are left out: their {spec.normalizer_name}, which errors are divided by"
        warn_once("evaluation", f"{path}: {what}, is 0 or not labeled")
    found = listed_images(
        [image for image in file.images.values() if image["id"] in faces], images or images_beside(path)
    )
    samples = [
        replace(ImageSample.with_boxes(number, place, boxes[number]), size=size) for number, place, size in found
    ]
    return samples, faces


def _of_whole_body(entry: Entry) -> Entry:
    """Take the face of a person of COCO-WholeBody; other entries stay as they are."""
    if "face_kpts" not in entry:
        return entry
    keypoints = entry["face_kpts"] if entry.get("face_valid") else []
    return {**entry, "keypoints": keypoints, "bbox": entry.get("face_box")}


def _box(path: Path, entry: Entry) -> NDArray[np.float64]:
    """Give the face's box, xyxy."""
    if "center" in entry and "scale" in entry:
        center = [as_number(value) for value in entry["center"]] if isinstance(entry["center"], list) else []
        scale = as_number(entry["scale"])
        if len(center) != 2 or None in center or scale is None:
            raise wrong(path, f"face {entry['id']}", "center must be two numbers and scale one", entry["center"])
        middle, half = np.array(center, np.float64), scale * SCALE_PIXELS / 2
        return np.concatenate([middle - half, middle + half])
    x, y, width, height = entry["bbox"]
    return np.array([x, y, x + width, y + height], np.float64)


def _unit(
    path: Path, entry: Entry, points: NDArray[np.float64], box: NDArray[np.float64], spec: LandmarksSpec
) -> float:
    """Give what errors are divided by, pixels; 0 where it is not known."""
    if spec.normalizer:
        pair = points[list(spec.normalizer)]
        return float(np.linalg.norm(pair[0, :2] - pair[1, :2])) if (pair[:, 2] > 0).all() else 0.0
    if "box_size" not in entry:
        return float((box[2:] - box[:2]).max())
    size: Any = as_number(entry["box_size"])
    if size is None:
        raise wrong(path, f"face {entry['id']}", "box_size must be a number", entry["box_size"])
    return float(size)
