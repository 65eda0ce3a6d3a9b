"""The page in a real browser, against Python on the same frames."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import packaged_model, photographs
from edgehr.live.predictors.landmarks import LandmarkDetector
from edgehr.live.predictors.pose import PoseEstimator
from edgehr.live.predictors.segmenter import Segmenter
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL, DEFAULT_SEGMENTER, get_card
from tests.live.predictors.mean_face import save_mean_face
from tests.live.web import chromium
from tests.live.web_demo.browsing import (
    KEEP,
    Image,
    chromium_with,
    folder_for,
    frames_seen,
    one_person,
    opened,
    served,
    several_people,
    write_clip,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.PATH is None, reason="no Chromium here to open the page with"),
]

PIXELS, SHARE, SCORE = 0.5, 0.95, 0.3
FRAMES = 8


@pytest.mark.parametrize(
    ("suffix", "several", "film", "least"),
    [(".onnx", False, one_person, 1), (".tflite", True, several_people, 3)],
    ids=["one-onnxruntime-web", "several-litert"],
)
def test_keypoints_are_those_of_python(
    tmp_path: Path, suffix: str, several: bool, film: Callable[[], Iterator[Image]], least: int
) -> None:
    model = packaged_model(DEFAULT_MODEL, suffix)
    detector = packaged_model(DEFAULT_DETECTOR, suffix) if several else None
    folder = folder_for(tmp_path / "page", model, detector=detector)
    clip = write_clip(tmp_path / "clip.mjpeg", film())

    async def look() -> list[dict[str, Any]]:
        async with (
            served(folder) as url,
            chromium_with(tmp_path / "profile", clip) as browser,
            opened(browser, f"{url}?threads=1", KEEP % FRAMES) as page,
        ):
            seen = await frames_seen(page, FRAMES)
            assert page.complaints == []
            return seen

    seen = asyncio.run(look())
    with PoseEstimator(model, detector=detector) as estimator:
        apart = compare(seen, estimator)
    assert max(len(frame["poses"]) for frame in seen) >= least
    assert len(apart) > 8 * FRAMES
    assert np.mean(apart <= PIXELS) >= SHARE, np.sort(apart)[-20:]


def compare(seen: list[dict[str, Any]], estimator: PoseEstimator) -> np.ndarray[Any, Any]:
    """Measure how far keypoints that Python is sure of are from the page's, pixels, over all frames."""
    sequence, apart = estimator.sequence(), [np.zeros(0)]
    for number, frame in enumerate(seen):
        found = None
        if estimator.detector is not None and number % estimator.detect_every == 0:
            found = estimator.detector(frame["picture"])
        poses = sequence.step(frame["picture"], frame["time"], found)
        points = np.array([pose["points"] for pose in frame["poses"]]).reshape(-1, 17, 2)
        assert poses.keypoints.shape == points.shape
        assert poses.ids.tolist() == [pose["id"] for pose in frame["poses"]]
        apart.append(np.linalg.norm(poses.keypoints - points, axis=2)[poses.scores > SCORE])
    return np.concatenate(apart)


def test_masks_and_landmarks_are_those_of_python(tmp_path: Path) -> None:
    card = get_card("hrnetv2-w18-official-300w-256x256")
    face = np.random.default_rng(0).uniform(0.2, 0.8, (len(card.spec.keypoints.names), 2))
    save_mean_face(tmp_path / "face.onnx", card, face)
    models = {"pixels": DEFAULT_SEGMENTER, "face": tmp_path / "face.onnx"}
    folders = {name: folder_for(tmp_path / name, model) for name, model in models.items()}

    async def look() -> dict[str, dict[str, Any]]:
        found = {}
        async with chromium_with(tmp_path / "profile") as browser:
            for name, folder in folders.items():
                async with served(folder) as url, opened(browser, f"{url}?threads=1", KEEP % 1) as page:
                    (found[name],) = await frames_seen(page, 1, photographs()[0])
                    assert page.complaints == []
        return found

    found = asyncio.run(look())
    with Segmenter(packaged_model(DEFAULT_SEGMENTER)) as segmenter:
        person = segmenter(found["pixels"]["picture"]).probability("person")
    alpha = found["pixels"]["alpha"]
    mask = np.array(alpha["values"], np.uint8).reshape(-1, alpha["width"])
    share = cv2.resize(mask, person.shape[::-1], interpolation=cv2.INTER_LINEAR) / 255
    assert np.mean((share > 0.5) == (person > 0.5)) > 0.99
    with LandmarkDetector(tmp_path / "face.onnx") as detector:
        landmarks = detector(found["face"]["picture"])
    points = np.array(found["face"]["poses"][0]["points"]).reshape(-1, 2)
    assert np.abs(landmarks.points[0] - points).max() <= PIXELS
