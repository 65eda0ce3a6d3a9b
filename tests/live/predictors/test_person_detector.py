"""YOLOX-nano on real photographs of people, on ONNX Runtime and OpenVINO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.errors import EdgehrError
from edgehr.live.predictors import base
from edgehr.live.predictors.detectors import Detector, PersonDetector
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.tasks.detection.detections import Detections
from edgehr.zoo import get_card

CARD = get_card("yolox-nano-coco-416x416")


class OnePerson(Runtime):
    """Answers every picture with one box around the middle of the input, in the types of a given batch and dtype."""

    backend = "one"

    def __init__(self, batch: int | None = 1, dtype: type = np.float32, size: int = 416) -> None:
        kind = np.dtype(dtype)
        super().__init__(
            [TensorSpec("images", (batch, 3, size, size), kind)], [TensorSpec("output", (batch, 3549, 85), kind)]
        )

    def _infer(self, inputs: Tensors) -> dict[str, Any]:
        raw = np.zeros((len(inputs["images"]), 3549, 85), self.outputs[0].dtype)
        middle = 52 * 52 + 13 * 26 + 13  # of the grid of stride 16
        raw[:, middle, 2:4] = np.log(10)
        raw[:, middle, 4:6] = 0.9
        return {"output": raw}


@pytest.mark.parametrize(("batch", "dtype"), [(1, np.float32), (None, np.float32), (4, np.float32), (1, np.float16)])
def test_any_batch_and_half_precision(batch: int | None, dtype: type) -> None:
    with PersonDetector(OnePerson(batch, dtype), card=CARD) as detector:
        used: Detector = detector
        found = used(np.zeros((832, 832, 3), np.uint8))
    assert isinstance(found, Detections)
    assert np.allclose(found.boxes, [[256, 256, 576, 576]], atol=1)
    assert np.allclose(found.scores, 0.81, atol=1e-3)
    assert len(found) == 1


def test_closing_closes_what_was_opened_here(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    monkeypatch.setattr(base, "load", lambda *arguments, **options: OnePerson())
    detector = PersonDetector("detector.onnx", card=CARD)
    assert len(detector(picture)) == 1
    detector.close()
    detector.close()
    with pytest.raises(EdgehrError, match="closed"):
        detector(picture)
    runtime = OnePerson()
    PersonDetector(runtime, card=CARD).close()
    assert len(PersonDetector(runtime, card=CARD)(picture)) == 1  # it is still the caller's


def test_a_model_that_is_refused_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    for card, match in ((CARD, "is of 416x416"), (get_card("litehrnet-18-coco-256x192"), "not for detection")):
        runtime = OnePerson(size=320)
        monkeypatch.setattr(base, "load", lambda *arguments, runtime=runtime, **options: runtime)
        with pytest.raises(EdgehrError, match=match):
            PersonDetector("detector.onnx", card=card)
        with pytest.raises(EdgehrError, match="closed"):
            runtime.infer({})


def test_models_and_cards_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EdgehrError, match="is of 416x416"):
        PersonDetector(OnePerson(size=320), card=CARD)
    with pytest.raises(EdgehrError, match="not for detection"):
        PersonDetector(OnePerson(), card=get_card("litehrnet-18-coco-256x192"))
    with pytest.raises(EdgehrError, match="threshold"):
        PersonDetector(OnePerson(), card=CARD, threshold=2)


@pytest.fixture(scope="module")
def people(shared: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures and their people's boxes, (N, 4) xyxy; groups that are annotated as one (`iscrowd`) left out."""
    folder = shared / "data" / "coco-val2017-people"
    data = json.loads((folder / "person_keypoints.json").read_text())
    boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in data["images"]}
    for annotation in data["annotations"]:
        if not annotation["iscrowd"]:
            x, y, width, height = annotation["bbox"]
            boxes[annotation["image_id"]].append([x, y, x + width, y + height])
    return [
        (cv2.imread(str(folder / "images" / image["file_name"])), np.array(boxes[image["id"]]).reshape(-1, 4))
        for image in data["images"]
    ]


@pytest.fixture(scope="module")
def detector(shared: Path) -> Iterator[PersonDetector]:
    with PersonDetector(shared / "detectors" / "yolox_nano_416.onnx", threads=1, card=CARD) as opened:
        yield opened


def matched(found: np.ndarray, true: np.ndarray, least: float = 0.5) -> list[int]:
    """Indices of the true boxes that found boxes, in their order, take: each the free one that it overlaps most."""
    low = np.maximum(found[:, None, :2], true[None, :, :2])
    high = np.minimum(found[:, None, 2:], true[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (found, true)]
    ious = shared / (areas[0][:, None] + areas[1] - shared)
    taken: list[int] = []
    for row in ious:
        free = [index for index in np.argsort(-row) if index not in taken and row[index] >= least]
        taken += [int(free[0])] if free else []
    return taken


@pytest.mark.slow
def test_finds_most_people_of_coco(detector: PersonDetector, people: Any) -> None:
    true = found = right = large = large_right = 0
    for image, boxes in people:
        detections = detector(image)
        assert (np.diff(detections.scores) <= 0).all()
        height, width = image.shape[:2]
        assert (detections.boxes >= 0).all()
        assert (detections.boxes <= [width, height, width, height]).all()
        taken = matched(detections.boxes, boxes)
        is_large = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) > 96**2  # COCO's bound, with the box's area
        true, found, right = true + len(boxes), found + len(detections), right + len(taken)
        large, large_right = large + is_large.sum(), large_right + is_large[taken].sum()
    print(f"recall {right / true:.3f}, large {large_right / large:.3f}, precision {right / found:.3f}, {true} people")
    assert true > 350
    assert right / true > 0.62  # measured 0.65: half of them are small, and the network is the smallest of its family
    assert large_right / large > 0.77
    assert right / found > 0.75


@pytest.mark.slow
def test_finds_the_people_of_the_shipped_photographs(detector: PersonDetector) -> None:
    # By eye, in the 512x512 photographs.
    for path, expected in zip(photographs(), ([20, 16, 370, 512], [0, 66, 330, 512]), strict=True):
        found = detector(cv2.imread(str(path)))
        assert len(found) == 1
        assert matched(found.boxes, np.array([expected]), least=0.8) == [0], (path.name, found.boxes)


@pytest.mark.slow
def test_openvino_finds_the_same_boxes(detector: PersonDetector, people: Any, detector_ir: Path) -> None:
    with PersonDetector(detector_ir, threads=1) as other:
        assert other.runtime.backend == "openvino"
        for image, _ in people[:40]:
            one, two = detector(image), other(image)
            assert len(one) == len(two)
            assert np.abs(one.boxes - two.boxes).max(initial=0) < 1
            assert np.abs(one.scores - two.scores).max(initial=0) < 1e-3


@pytest.mark.slow
def test_threads_may_share_a_detector(detector: PersonDetector, people: Any) -> None:
    images = [image for image, _ in people[:8]]
    alone = [detector(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector, images))
    for one, two in zip(alone, together, strict=True):
        assert np.array_equal(one.boxes, two.boxes)


@pytest.mark.slow
def test_a_threshold_of_its_own(detector: PersonDetector, people: Any) -> None:
    strict = PersonDetector(detector.runtime, card=CARD, threshold=0.8)
    for image, _ in people[:10]:
        assert len(strict(image)) <= len(detector(image))
        assert (strict(image).scores >= 0.8).all()
