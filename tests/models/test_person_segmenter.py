"""The person segmenter that ships with edgehr, against the ONNX file that its weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgehr.files import read_json
from edgehr.models.runtime import TorchRuntime
from edgehr.tasks.image.reading import read_image
from edgehr.tasks.segmentation.task import SegmentationTask
from edgehr.zoo import DEFAULT_SEGMENTER, find_weights, get_card

pytestmark = pytest.mark.slow

MARGIN = 0.1
LARGE = 96**2  # square pixels


@dataclass
class Crop:
    """A person of COCO val2017 with a margin, and the visible keypoints in it."""

    image: NDArray[np.uint8]
    points: NDArray[np.intp]
    large: bool


@pytest.fixture(scope="module")
def crops(shared: Path) -> list[Crop]:
    folder, found = shared / "data" / "coco-val2017-people", []
    data = read_json(folder / "person_keypoints.json")
    images = {entry["id"]: folder / "images" / entry["file_name"] for entry in data["images"]}
    for person in data["annotations"][::9]:
        image = read_image(images[person["image_id"]])
        x, y, width, height = person["bbox"]
        left, top = int(max(x - MARGIN * width, 0)), int(max(y - MARGIN * height, 0))
        part = image[top : int(y + (1 + MARGIN) * height), left : int(x + (1 + MARGIN) * width)]
        if min(part.shape[:2]) >= 8:
            keypoints = np.array(person["keypoints"]).reshape(-1, 3)
            points = np.int_(keypoints[keypoints[:, 2] == 2, :2]) - (left, top)
            points = np.clip(points, 0, (part.shape[1] - 1, part.shape[0] - 1))
            found.append(Crop(part, points, person["area"] > LARGE))
    return found


@pytest.fixture(scope="module")
def batch(crops: list[Crop]) -> NDArray[np.float32]:
    task = SegmentationTask(get_card(DEFAULT_SEGMENTER))
    return np.concatenate([task.preprocess(crop.image)[0] for crop in crops])


@pytest.fixture(scope="module")
def reference(shared: Path, batch: NDArray[np.float32]) -> NDArray[np.bool_]:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(shared / "segmentation" / "pphumanseg_192_fp32.onnx"))
    found = np.concatenate([session.run(None, {"x": item[None]})[0] for item in batch])
    return np.asarray(found[:, 1] > found[:, 0])


@pytest.mark.parametrize(("weights", "least"), [("original", 0.99999), ("sample", 0.999)])
def test_masks_are_those_of_the_reference(
    weights: str, least: float, shared: Path, crops: list[Crop], batch: Any, reference: NDArray[np.bool_]
) -> None:
    card = get_card(DEFAULT_SEGMENTER)
    path = shared / "weights" / card.weights.file if weights == "original" else find_weights(card)
    task = SegmentationTask(card)
    with TorchRuntime(card, path) as runtime:
        logits = runtime.infer_batch(batch)["logits"]
    _, whole = task.preprocess(np.zeros((192, 192, 3), np.uint8))
    masks = np.stack([task.postprocess({"logits": each[None]}, whole).mask("person") for each in logits])
    assert (masks & reference).sum() / (masks | reference).sum() >= least

    inside = []
    for crop, each in zip(crops, logits, strict=True):
        if crop.large:
            mask = task.postprocess({"logits": each[None]}, task.preprocess(crop.image)[1]).mask("person")
            inside.append(mask[crop.points[:, 1], crop.points[:, 0]])
    assert np.concatenate(inside).mean() > 0.91
