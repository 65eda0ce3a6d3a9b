"""The landmarks task: crops and decoding of each origin, and its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.base import Task
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.landmarks.spec import LandmarksSpec
from edgehr.tasks.landmarks.task import LandmarksTask
from edgehr.tasks.pose.spec import KeypointSet
from edgehr.tasks.pose.task import PoseTask
from edgehr.zoo import get_card
from tests.tasks.landmarks.official import official_crop, official_decode

WFLW, OFFICIAL = get_card("hrnetv2-w18-wflw-256x256"), get_card("hrnetv2-w18-official-wflw-256x256")
SIDE = 256


def square(center: tuple[float, float], scale: float) -> list[float]:
    """The box of a face that is annotated by its center and scale."""
    x, y = center
    return [x - 100 * scale, y - 100 * scale, x + 100 * scale, y + 100 * scale]


@pytest.fixture(scope="module")
def photograph() -> Any:
    image = cv2.imread(str(photographs()[0]))
    return cv2.convertScaleAbs(image, alpha=0.6, beta=20)  # without black and white, so that stretching shows


# Inside the picture, over its edge, tiny, shrunk first because it is large, beside the picture.
FACES = [
    ((222.5, 130.5), 0.75),
    ((30.25, 20.5), 0.61),
    ((300.0, 200.0), 0.05),
    ((260.5, 250.5), 2.4),
    ((-500.0, 90.0), 0.7),
]


@pytest.mark.parametrize(("center", "scale"), FACES)
def test_official_crops_are_cut_as_their_repository_does(
    center: tuple[float, float], scale: float, photograph: Any
) -> None:
    task = LandmarksTask(OFFICIAL)
    batch, _ = task.preprocess(photograph, square(center, scale))
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (OFFICIAL.input.mean, OFFICIAL.input.std))
    crop = np.rint(batch[0] * std + mean).transpose(1, 2, 0)
    expected = official_crop(photograph[..., ::-1], np.array(center), scale * 1.25, SIDE).astype(float)
    off = np.abs(crop - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


def test_official_landmarks_are_decoded_as_in_their_repository() -> None:
    random = np.random.default_rng(3)
    heatmaps = random.uniform(0, 1, (len(FACES), 98, 64, 64)).astype(np.float32)
    heatmaps[0, :4] = 0
    for number, (y, x) in enumerate([(0, 0), (63, 63), (0, 30), (1, 62)]):
        heatmaps[0, number, y, x] = 2  # at the border
    task = LandmarksTask(OFFICIAL)
    boxes = [square((x + 0.137, y + 0.211), scale + 0.0123) for (x, y), scale in FACES]
    _, context = task.preprocess(np.zeros((400, 400, 3), np.uint8), boxes)
    found = task.postprocess({"heatmaps": heatmaps}, context)
    for number, ((x, y), scale) in enumerate(FACES):
        center = np.array([x + 0.137, y + 0.211])
        expected = official_decode(heatmaps[number], center, (scale + 0.0123) * 1.25)
        # A place on the very edge of a pixel may fall to either side.
        assert (np.abs(found.points[number] - expected) > 0).mean() < 0.01
        assert np.abs(found.points[number] - expected).max() <= 1


@pytest.mark.parametrize(("name", "most"), [("wflw", 0.55), ("300w", 0.55), ("cofw", 0.55), ("dark-wflw", 0.12)])
def test_landmarks_come_back_from_their_heatmaps(name: str, most: float, shared: Path) -> None:
    """Gaussians around annotated landmarks are decoded to where these are, within a part of a heatmap pixel."""
    card = get_card(f"hrnetv2-w18-{name}-256x256")
    folder = shared / "data" / "mmpose-samples" / name.split("-")[-1]
    data = json.loads((folder / f"test_{folder.name}.json").read_text())
    image = data["images"][0]
    faces = [face for face in data["annotations"] if face["image_id"] == image["id"]]
    points = np.array([face["keypoints"] for face in faces], np.float32).reshape(len(faces), -1, 3)[..., :2]
    boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    task = LandmarksTask(card)
    _, context = task.preprocess(cv2.imread(str(folder / image["file_name"])), boxes)
    corner = context.windows.center - context.windows.size / 2
    places = (points - corner[:, None]) / context.windows.size[:, None] * 64
    y, x = np.mgrid[:64, :64]
    distances = (x - places[..., 0, None, None]) ** 2 + (y - places[..., 1, None, None]) ** 2
    found = task.postprocess({"heatmaps": np.exp(-distances / 8).astype(np.float32)}, context)
    off = np.abs(found.points - points) / context.windows.size[:, None] * 64
    assert off.max() < most
    assert found.names == card.spec.keypoints.names


def test_the_result_is_of_faces() -> None:
    keypoints = KeypointSet(("left_eye", "chin"))
    faces = Landmarks(
        np.zeros((2, 4), np.float32),
        np.ones((2, 2, 2), np.float32),
        np.ones((2, 2), np.float32),
        keypoint_set=keypoints,
    )
    assert len(faces) == 2
    assert faces.points.shape == (2, 2, 2)
    assert faces["chin"].tolist() == [[1, 1, 1]] * 2
    assert isinstance(faces[:1], Landmarks)
    expected = {"id": None, "box": [0, 0, 0, 0], "points": [[1, 1, 1]] * 2}
    assert faces[:1].to_dict() == {"faces": [expected]}
    with pytest.raises(TensorError):
        Landmarks(np.zeros((2, 4), np.float32), np.ones((1, 2, 2), np.float32), np.ones((2, 2), np.float32))


def test_cards_of_other_tasks_and_forms_are_refused() -> None:
    with pytest.raises(EdgehrError, match="model for landmarks, not for pose"):
        PoseTask(WFLW)
    with pytest.raises(EdgehrError, match="model for pose, not for landmarks"):
        LandmarksTask(get_card("litehrnet-18-coco-256x192"))
    with pytest.raises(EdgehrError, match="goes with square inputs, not 192x256"):
        LandmarksTask(OFFICIAL.with_size(256, 192))
    for wrong in ((1,), (1, 1), (0, 2), (0, 1, 2)):
        with pytest.raises(EdgehrError, match="normalizer must be two of the 2 landmarks"):
            LandmarksSpec(KeypointSet(("left_eye", "right_eye")), normalizer=wrong)
    assert isinstance(Task.for_card(WFLW), LandmarksTask)
    assert dict(WFLW.lines())["normalizer"] == "distance of right_eye1 and left_eye1"


def test_nothing_is_found_in_no_boxes() -> None:
    task = LandmarksTask(WFLW)
    batch, context = task.preprocess(np.zeros((50, 50, 3), np.uint8), np.zeros((0, 4)))
    found = task.postprocess({"heatmaps": np.zeros((len(batch), 98, 64, 64), np.float32)}, context)
    assert (len(found), found.points.shape) == (0, (0, 98, 2))
