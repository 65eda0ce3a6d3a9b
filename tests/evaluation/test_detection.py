"""Box AP and agreement of detectors."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.detection.agreement import Matches, match
from edgehr.evaluation.detection.evaluator import DetectionEvaluator
from edgehr.runtimes import load
from edgehr.tasks.detection.detections import Detections
from edgehr.zoo import DEFAULT_MODEL, get_card

CARD = get_card("yolox-nano-coco-416x416")
PERSON, DOG, CAR = 0, 16, 2


def found(*rows: tuple[int, float, list[float]]) -> Detections:
    classes, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int64)
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two images: a person of medium size and a large dog, and a person in a crowd; and what no detector knows."""
    boxes = [(1, 7, [10, 10, 50, 60], 0), (1, 9, [100, 20, 150, 120], 0), (2, 7, [0, 0, 20, 20], 1)]
    data = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 300, "height": 200} for i in (1, 2)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
            for n, (image, category, box, crowd) in enumerate([*boxes, (2, 11, [5, 5, 9, 9], 0)], 1)
        ],
        "categories": [{"id": 7, "name": "person"}, {"id": 9, "name": "dog"}, {"id": 11, "name": "unicorn"}],
    }
    for image in data["images"]:
        cv2.imwrite(str(tmp_path / str(image["file_name"])), np.zeros((200, 300, 3), np.uint8))
    (tmp_path / "a.json").write_text(json.dumps(data))
    return tmp_path / "a.json"


def test_finding_all_and_nothing_else_is_an_ap_of_one(dataset: Path) -> None:
    evaluator = Evaluator.for_card(CARD)
    assert isinstance(evaluator, DetectionEvaluator)
    read = evaluator.read(dataset)
    assert (len(read), [image.image_id for image in read.images]) == (2, [1, 2])
    right = [found((PERSON, 0.9, [10, 10, 60, 70]), (DOG, 0.8, [100, 20, 250, 140])), found((CAR, 0.9, [0, 0, 9, 9]))]
    metrics = evaluator.score(read, right)
    assert (metrics.headline, metrics.figures["AP50"], metrics.detections, metrics.images) == (1, 1, 2, 2)
    assert metrics.to_dict()["ap_small"] is None
    assert metrics.counted == "2 boxes in 2 images"
    # Half as wide: an overlap of a half at most, which counts for AP50 only, and for one of two classes.
    narrow = [found((PERSON, 0.9, [10, 10, 36, 70]), (DOG, 0.8, [100, 20, 250, 140])), found()]
    figures = evaluator.score(read, narrow).figures
    assert (figures["AP50"], figures["AP75"]) == (1, 0.5)
    mixed_up = [found((DOG, 0.9, [10, 10, 60, 70]), (PERSON, 0.8, [100, 20, 250, 140])), found()]
    assert evaluator.score(read, mixed_up).headline == 0


def test_what_does_not_suit_the_detector_is_said(dataset: Path) -> None:
    evaluator = DetectionEvaluator(CARD)
    data = json.loads(dataset.read_text())
    with pytest.raises(EdgehrError, match="finds boxes itself"):
        evaluator.read(dataset, detections=dataset)
    dataset.write_text(json.dumps({**data, "annotations": [], "categories": [{"id": 7, "name": "unicorn"}]}))
    with pytest.raises(EdgehrError, match="knows none of its categories"):
        evaluator.read(dataset)
    for change, message in (
        ({"annotations": [{**data["annotations"][0], "bbox": [1, 2]}]}, r"annotations\[0\]: bbox must be four numbers"),
        ({"annotations": [{**data["annotations"][0], "image_id": 3}]}, "of image 3, which is not listed"),
        ({"categories": [7]}, r"categories\[0\]: must be an object, got 7"),
        ({"categories": data["categories"][:1] * 2}, "2 categories have the id"),
        ({"categories": data["categories"][:1]}, "which is not listed"),
    ):
        dataset.write_text(json.dumps({**data, **change}))
        with pytest.raises(EdgehrError, match=message):
            evaluator.read(dataset)
    with pytest.raises(EdgehrError, match=r"for detection, .* for pose: they cannot be compared"):
        evaluator.check_comparable(get_card(DEFAULT_MODEL))


def test_agreement_is_the_overlap_of_the_nearest_box_of_the_class(dataset: Path) -> None:
    evaluator = DetectionEvaluator(CARD)
    images = evaluator.read(dataset).images
    first = [found((PERSON, 0.9, [0, 0, 10, 10]), (DOG, 0.5, [50, 50, 70, 70]), (CAR, 0.3, [5, 5, 9, 9])), found()]
    same = evaluator.agreement(images, first, first)
    assert (same.similarity, same.objects) == (1, 2)  # what the first scores below 0.4 does not count
    assert same.metric is not None
    assert same.metric.headline == 1
    moved = [found((PERSON, 0.2, [5, 0, 15, 10]), (PERSON, 0.9, [80, 80, 99, 99])), found()]
    other = evaluator.agreement(images, first, moved, with_metric=False)
    assert other.similarity == pytest.approx((50 / 150 + 0) / 2)
    plain = other.to_dict()
    assert (plain["iou"], plain["objects"], plain["ap"]) == (pytest.approx(1 / 6), 2, None)
    assert (plain["matches"]["pairs"], plain["matches"]["missed"], plain["matches"]["added"]) == (0, 2, 1)
    assert plain["matches"]["least_iou"] is None
    nothing = evaluator.agreement(images, [found(), found()], first)
    assert math.isnan(nothing.similarity)
    assert nothing.to_dict()["iou"] is None


def test_each_object_has_one_counterpart() -> None:
    boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [80, 80, 90, 90]])
    first = Detections(boxes, np.float32([0.9, 0.8, 0.7, 0.1]), np.array([0, 0, 1, 1]))
    second = Detections(boxes[[1, 0, 2, 3]], np.float32([0.6, 0.5, 0.9, 0.3]), np.array([0, 0, 0, 1]))
    assert match(first, second) == [(0, 1), (1, 0), (3, 3)]
    assert match(first, second[1:]) == [(0, 0), (3, 2)]
    assert match(first[:0], second) == match(first, second[:0]) == []
    matches = Matches.of([first, first[:0]], [second, second[:0]])
    assert (len(matches.ious), matches.missed, matches.added) == (2, 1, 1)  # what scores 0.1 does not count
    assert matches.ious.tolist() == [1, 1]
    assert matches.score_differences == pytest.approx([-0.4, -0.2])
    assert len(matches.mask_ious) == 0
    shown = [[str(value) for value in row] for row in matches.rows]
    assert shown[0][:2] == ["found by both", "2 of 3"]
    assert shown[3][1:] == ["0.3000", "the largest 0.4000"]
    nothing = Matches.of([first[:0]], [second[:0]])
    assert nothing.to_dict()["largest_score_difference"] is None
    assert [row[1] for row in nothing.rows] == ["0 of 0", 0]


@pytest.mark.slow
def test_people_of_the_real_detector(detector_ir: Path, shared: Path, edgehr_command: Any, tmp_path: Path) -> None:
    """On annotated people only, of whom the file knows those with keypoints: every other person counts as invented."""
    people = shared / "data" / "coco-val2017-people" / "person_keypoints.json"
    evaluator = Evaluator.for_card(CARD)
    dataset = evaluator.read(people, max_samples=25)
    with load(detector_ir) as runtime:
        metrics = evaluator.evaluate(runtime, dataset)
        again = evaluator.predict(runtime, dataset.images)
    assert metrics.figures["AP50"] > 0.5
    assert evaluator.agreement(dataset.images, again, again).similarity == 1
    done = edgehr_command("verify", detector_ir, detector_ir, "--min-agreement", 0.99)
    assert re.search(r"^mean IoU +1\.0000", done.stdout, re.MULTILINE), done.stderr
