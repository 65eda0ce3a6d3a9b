from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.card import ModelCard
from edgehr.live.predictors.single_person import SinglePerson, person_windows
from edgehr.runtimes import load
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.zoo import get_card

CARD = get_card("litehrnet-18-coco-256x192")


class BlobRuntime(Runtime):
    """Answers with keypoints on the bright pixels of the crop, as a network that only knows white blobs would."""

    backend = "blob"

    def __init__(self, card: ModelCard) -> None:
        float32 = np.dtype(np.float32)
        super().__init__(
            [TensorSpec("image", (1, 3, 256, 192), float32)], [TensorSpec("heatmaps", (1, 17, 64, 48), float32)]
        )
        self.looks = 0

    def _infer(self, inputs: Tensors) -> dict[str, Any]:
        self.looks += 1
        small = cv2.resize(inputs["image"][0, 0], (48, 64), interpolation=cv2.INTER_AREA)
        heatmaps = np.zeros((1, 17, 64, 48), np.float32)
        if small.max() > 0.5:
            ys, xs = np.nonzero(small > 0.5)
            corners = [(ys.min(), xs.min()), (ys.min(), xs.max()), (ys.max(), xs.min()), (ys.max(), xs.max())]
            for joint in range(17):
                heatmaps[0, joint][corners[joint % 4]] = 0.9
        return {"heatmaps": heatmaps}


def scene(x: int, y: int, width: int = 60, height: int = 120) -> np.ndarray:
    image = np.zeros((480, 640, 3), np.uint8)
    image[y : y + height, x : x + width] = 255
    return image


def test_closes_in_on_the_person_and_follows() -> None:
    runtime = BlobRuntime(CARD)
    person = SinglePerson(runtime, CARD)
    poses = person(scene(100, 200))
    assert len(poses) == 1
    first_looks = runtime.looks
    assert first_looks > 1
    low, high = poses.keypoints[0].min(axis=0), poses.keypoints[0].max(axis=0)
    assert np.abs(low - [100, 200]).max() < 8
    assert np.abs(high - [160, 320]).max() < 8
    for step in range(1, 10):  # moves 10 pixels a frame; one look each
        poses = person(scene(100 + 10 * step, 200))
        assert np.abs(poses.keypoints[0].min(axis=0) - [100 + 10 * step, 200]).max() < 8
    assert runtime.looks == first_looks + 9


def test_a_search_in_a_video_is_spread_over_frames() -> None:
    runtime = BlobRuntime(CARD)
    nobody = np.zeros((480, 640, 3), np.uint8)
    SinglePerson(runtime, CARD)(nobody)
    assert runtime.looks == 1 + len(person_windows(640, 480))
    runtime.looks = 0
    SinglePerson(runtime, CARD, windows_per_frame=4)(nobody)
    assert runtime.looks == 5


@pytest.mark.parametrize(("width", "height"), [(640, 480), (400, 900), (1920, 1080), (30, 30)])
def test_windows_cover_the_frame(width: int, height: int) -> None:
    covered = np.zeros((height, width), int)
    for x1, y1, x2, y2 in np.array(person_windows(width, height)).round().astype(int):
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        covered[y1:y2, x1:x2] += 1
    assert covered.min() >= 2


def test_a_lost_person_is_searched_for_in_the_whole_frame() -> None:
    person = SinglePerson(BlobRuntime(CARD), CARD)
    assert len(person(scene(20, 20))) == 1
    poses = person(scene(500, 300))  # far outside the old crop
    assert len(poses) == 1
    assert np.abs(poses.keypoints[0].min(axis=0) - [500, 300]).max() < 8
    assert len(person(np.zeros((480, 640, 3), np.uint8))) == 0
    assert len(person(scene(300, 100))) == 1


def test_very_long_frames_do_not_make_the_search_endless() -> None:
    for size in ((300, 1), (33000, 40), (40, 33000), (8000, 1000)):
        assert 1 <= len(person_windows(*size)) <= 32


@pytest.mark.slow
def test_finds_the_people_in_the_shipped_photographs(sample_ir: Path) -> None:
    # Face and shoulders, by eye: (keypoint, x, y) in the 512x512 photographs.
    expected = {
        "astronaut.jpg": [
            ("nose", 226, 128),
            ("left_eye", 252, 108),
            ("right_eye", 205, 105),
            ("right_shoulder", 97, 272),
        ],
        "cameraman.jpg": [("right_ear", 187, 143), ("right_shoulder", 92, 180), ("right_wrist", 232, 232)],
    }
    with load(sample_ir) as runtime:
        assert runtime.artifact is not None
        card = runtime.artifact.card
        for path in photographs():
            poses = SinglePerson(runtime, card)(cv2.imread(str(path)))
            assert len(poses) == 1
            for name, x, y in expected[path.name]:
                index = card.spec.keypoints.names.index(name)
                assert np.linalg.norm(poses.keypoints[0, index] - [x, y]) < 25, (path.name, name)
                assert poses.scores[0, index] > 0.3, (path.name, name)
