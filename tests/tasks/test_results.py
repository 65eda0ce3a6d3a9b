"""What results say of themselves, and convert to: rows, COCO results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.errors import EdgehrError, TensorError
from edgehr.evaluation.coco import run_coco
from edgehr.live.predictors.pose import StreamPoses
from edgehr.live.sources import Frame
from edgehr.tasks.coco import COCO_CATEGORIES, compressed_runs, encoded_mask
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.result import TaskResult
from edgehr.tasks.segmentation.segmentation import Segmentation
from tests.tasks.sample_results import (
    ALL,
    BOXES,
    CLASSIFICATION,
    DETECTIONS,
    FACES,
    LANDMARKS,
    MAP,
    MASKED,
    POINT_SCORES,
    POINTS,
    POSES,
    SEGMENTATION,
)


def test_what_results_look_like_on_a_screen() -> None:
    assert [repr(result) for result in ALL] == [
        "Poses(2 people, 2 keypoints, best score 0.90)",
        "Landmarks(1 face, 2 landmarks, best score 0.90)",
        "Detections(1 dog, 1 person, best score 0.90)",
        "Detections(1 object, best score 0.90)",
        "Detections(1 bear, 1 dog, with masks, best score 0.90)",
        "Segmentation(4x3 pixels, person 50%, background 42%, rabbit 8%)",
        "Classification(dog 0.700, pig 0.200)",
    ]
    assert repr(POSES[:0]) == "Poses(0 people, 2 keypoints)"
    assert repr(Detections.none()) == "Detections(0 objects)"
    assert repr(DETECTIONS.at(12, 0.48)) == "Detections(1 dog, 1 person, best score 0.90, frame 12, 0.480 s)"
    many = Segmentation(np.arange(8, dtype=np.uint8)[None], tuple("abcdefgh"), ((0, 0, 0),) * 8)
    assert repr(many) == "Segmentation(8x1 pixels, a 12%, b 12%, c 12%, d 12%, e 12%, 3 more)"
    frame = Frame("film-000003.jpg", np.zeros((9, 9, 3), np.uint8), 3, 1.5)
    assert repr(frame) == "Frame(name='film-000003.jpg', number=3, time_s=1.5, position_s=None)"
    streamed = StreamPoses(**vars(POSES.at(3, 1.5)), frame=frame)
    assert repr(streamed) == "StreamPoses(2 people, 2 keypoints, best score 0.90, frame 3, 1.500 s)"


@pytest.mark.parametrize("result", ALL, ids=lambda result: type(result).__name__)
def test_the_frame_and_its_time_are_told_where_they_are_known(result: Any) -> None:
    assert isinstance(result, TaskResult)
    assert not {"frame", "time_s"} & {*result.to_dict(), *result.to_rows()[0]}
    timed = result.at(12, 0.480004)
    assert (timed.frame_number, timed.time_s) == (12, 0.480004)
    assert (result.frame_number, result.time_s) == (None, None)
    for record in (timed.to_dict(), *timed.to_rows()):
        json.dumps(record, allow_nan=False)
        assert (record["frame"], record["time_s"]) == (12, 0.48)
    assert {"time_s"} == {*result.at(None, 2.0).to_dict()} - {*result.to_dict()}


def test_some_of_a_result_are_of_the_same_frame() -> None:
    for some in (POSES.at(12, 0.48)[:1], DETECTIONS.at(12, 0.48)[:1], DETECTIONS.at(12, 0.48).surest(1)):
        assert len(some) == 1
        assert (some.frame_number, some.time_s) == (12, 0.48)
    assert DETECTIONS[1:].names == ["person"]


def test_rows_are_flat() -> None:
    assert POSES.to_rows() == [
        {"person": 0, "id": 7, "keypoint": "nose", "x": 11.0, "y": 21.0, "score": 0.9},
        {"person": 0, "id": 7, "keypoint": "tail", "x": 12.0, "y": 22.0, "score": 0.1},
        {"person": 1, "id": None, "keypoint": "nose", "x": 1.0, "y": 2.0, "score": 0.5},
        {"person": 1, "id": None, "keypoint": "tail", "x": 3.0, "y": 4.0, "score": 0.25},
    ]
    nameless = Poses(BOXES, POINTS, POINT_SCORES)
    assert [row["keypoint"] for row in nameless.to_rows()] == ["0", "1"] * 2
    assert LANDMARKS.to_rows()[1] == {"face": 0, "id": None, "landmark": "tail", "x": 12.0, "y": 22.0, "score": 0.1}
    corners = {"x1": 10.0, "y1": 20.0, "x2": 30.0, "y2": 60.0}
    assert DETECTIONS.to_rows()[0] == {"score": 0.9, "class_id": 2, "name": "dog", **corners}
    points = {"point0_x": 11.0, "point0_y": 21.0, "point1_x": 12.0, "point1_y": 22.0}
    assert FACES.to_rows() == [{"score": 0.9, "class_id": 0, **corners, **points}]
    assert SEGMENTATION.to_rows() == [
        {"class_id": 1, "name": "person", "pixels": 6, "area": 0.5},
        {"class_id": 3, "name": "rabbit", "pixels": 1, "area": 0.083333},
    ]
    assert CLASSIFICATION.to_rows() == [
        {"rank": 0, "name": "dog", "class_id": 1, "probability": 0.7},
        {"rank": 1, "name": "pig", "class_id": 2, "probability": 0.2},
    ]
    assert POSES[:0].to_rows() == Detections.none().to_rows() == []


def test_rows_make_a_table() -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frames = [POSES.at(0, 0.0), POSES[:0].at(1, 0.04), POSES[:1].at(2, 0.08)]
    table = pandas.DataFrame([row for poses in frames for row in poses.to_rows()])
    assert list(table.columns) == ["frame", "time_s", "person", "id", "keypoint", "x", "y", "score"]
    assert table.groupby("frame").person.nunique().to_dict() == {0: 2, 2: 1}
    noses = table[table.keypoint == "nose"].pivot(index="time_s", columns="person", values="x")
    assert noses.loc[0.08].tolist()[0] == 11
    for result in ALL:
        assert len(pandas.DataFrame(result.to_rows())) == len(result.to_rows()) > 0


def test_classes_are_named_or_not() -> None:
    with pytest.raises(TensorError, match="an object is of class 2, but 2 classes are named"):
        Detections(DETECTIONS.boxes, DETECTIONS.scores, DETECTIONS.class_ids, classes=("person", "rabbit"))
    assert FACES.names == []
    assert "name" not in FACES.to_dict()["objects"][0]
    assert DETECTIONS.to_dict()["objects"][1]["name"] == "person"


def test_the_ids_of_coco_are_its_own(shared: Path) -> None:
    assert len(COCO_CATEGORIES) == 80
    truth = json.loads((shared / "data" / "coco-val2017-people" / "person_keypoints.json").read_text())
    assert {each["name"]: each["id"] for each in truth["categories"]} == {"person": COCO_CATEGORIES["person"]}
    for name, number in {"stop sign": 13, "backpack": 27, "wine glass": 46, "tv": 72, "toothbrush": 90}.items():
        assert COCO_CATEGORIES[name] == number  # as in COCO's instances_val2017.json


def test_poses_as_coco_results() -> None:
    first, second = POSES.to_coco(42)
    assert first == {
        "image_id": 42,
        "category_id": 1,
        "keypoints": pytest.approx([11, 21, 0.9, 12, 22, 0.1]),
        "score": pytest.approx(0.9),  # the other keypoint does not count
        "bbox": [10, 20, 20, 40],
    }
    assert second["score"] == pytest.approx(0.375)
    json.dumps([first, second], allow_nan=False)
    assert [each["category_id"] for each in LANDMARKS.to_coco(42, category_id=3)] == [3]
    assert POSES[:0].to_coco(42) == []
    assert POSES.to_coco(42)[0] == POSES[:1].to_coco(42)[0]


def test_coco_finds_its_own_people_again(shared: Path) -> None:
    """People as they are annotated, through `Poses` and back, have COCO's best figures, and moved ones have not."""
    pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval")
    truth = json.loads((shared / "data" / "coco-val2017-people" / "person_keypoints.json").read_text())
    moved = {0: [], 0.2: []}
    for image in truth["images"]:
        people = [each for each in truth["annotations"] if each["image_id"] == image["id"] and each["num_keypoints"]]
        points = np.array([each["keypoints"] for each in people], np.float32).reshape(len(people), -1, 3)
        boxes = np.array([each["bbox"] for each in people], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scores = np.ones(points.shape[:2], np.float32)
        for far, results in moved.items():
            shift = far * (boxes[:, None, 2:] - boxes[:, None, :2])
            results += Poses(boxes, points[..., :2] + shift, scores).to_coco(image["id"])
    exact, shifted = (run_coco(truth, results, "keypoints", [20])[0] for results in moved.values())
    assert exact == pytest.approx(1)
    assert shifted < 0.2


def test_detections_as_coco_results() -> None:
    dog, person = DETECTIONS.to_coco(42)
    assert dog == {"image_id": 42, "category_id": 18, "bbox": [10, 20, 20, 40], "score": pytest.approx(0.9)}
    assert person["category_id"] == 1
    mine = {"rabbit": 5, "dog": 0, "horse": 8}
    assert [each["category_id"] for each in DETECTIONS.to_coco(42, mine)] == [0]  # the person has no category
    json.dumps(DETECTIONS.to_coco(42), allow_nan=False)
    assert Detections(BOXES[:0], np.zeros(0, np.float32), classes=("dog",)).to_coco(42) == []


def test_categories_that_would_drop_everything_are_refused() -> None:
    with pytest.raises(EdgehrError, match="the classes of these results have no names"):
        FACES.to_coco(42)
    face = Detections(FACES.boxes, FACES.scores, classes=("face",))
    with pytest.raises(EdgehrError, match=r"none of the classes is among COCO's categories: .*categories=\{'face': "):
        face.to_coco(42)
    with pytest.raises(EdgehrError, match="none of the classes is among the categories given"):
        DETECTIONS.to_coco(42, {"Person": 1})
    with pytest.raises(EdgehrError, match="none of the classes is among the categories given"):
        SEGMENTATION.to_coco(42, {"Person": 1})


def test_segmentations_as_coco_results() -> None:
    library = pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval")
    (person,) = SEGMENTATION.to_coco(42)  # COCO knows no rabbits
    assert (person["image_id"], person["category_id"], person["bbox"]) == (42, 1, [1, 0, 3, 2])
    both = SEGMENTATION.to_coco(42, {"person": 1, "rabbit": 2})
    json.dumps(both, allow_nan=False)
    np.testing.assert_array_equal(library.mask.decode(person["segmentation"]), MAP == 1)
    truth = {
        "images": [{"id": 42, "height": 3, "width": 4}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "rabbit"}],
        "annotations": [
            {"id": number, "iscrowd": 0, "area": int(np.count_nonzero(label == MAP)), **entry}
            for number, (label, entry) in enumerate(zip((1, 3), both, strict=True), 1)
        ],
    }
    assert run_coco(truth, both, "segm", [1, 10, 100])[0] == pytest.approx(1)


def random_masks(count: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    masks = rng.random((count, height, width)) < rng.choice([0, 0.03, 0.5, 0.97, 1], (count, 1, 1))
    masks[::3, :, : width // 2] = False  # most lie in a part of the picture
    masks[1::5] = np.cumsum(masks[1::5], axis=1) > 1  # long runs
    return masks


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (23, 37), (64, 64)])
def test_masks_are_encoded_as_by_coco_itself(size: tuple[int, int]) -> None:
    library = pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval").mask
    masks = random_masks(30, *size)
    packed = Masks.of(masks)
    for number, mask in enumerate(masks):
        np.testing.assert_array_equal(packed.full(number), mask)
        wanted = library.encode(np.asfortranarray(mask, np.uint8))
        runs = packed.runs(number)
        assert compressed_runs(runs) == wanted["counts"].decode()
        inside = np.arange(len(runs)) % 2 == 1
        np.testing.assert_array_equal(np.repeat(inside, runs).reshape(size[::-1]).T, mask)
        assert encoded_mask(mask) == (
            {"size": list(size), "counts": wanted["counts"].decode()},
            list(library.toBbox(wanted)),
        )
    assert packed.areas.tolist() == masks.sum(axis=(1, 2)).tolist()
    for one, two in np.random.default_rng(0).integers(0, len(masks), (60, 2)).tolist():
        union = np.count_nonzero(masks[one] | masks[two])
        wanted = np.count_nonzero(masks[one] & masks[two]) / union if union else 1
        assert packed.overlap(one, packed, two) == pytest.approx(wanted)


def test_masks_of_detections() -> None:
    (first, second) = MASKED.to_dict()["objects"]
    assert first["rle"] == {"size": [3, 4], "counts": [3, 2, 1, 2, 1, 2, 1]}
    assert second["rle"]["counts"] == [11, 1]
    assert "rle" not in MASKED.to_dict(masks=False)["objects"][0]
    assert [row["pixels"] for row in MASKED.to_rows()] == [6, 1]
    assert MASKED[::-1].to_rows()[0] == MASKED.to_rows()[1]
    assert [entry["segmentation"]["size"] for entry in MASKED.to_coco(42)] == [[3, 4]] * 2
    (dog,) = MASKED.to_coco(42, {"dog": 7})
    assert (dog["category_id"], dog["segmentation"]) == (7, MASKED.to_coco(42)[1]["segmentation"])
    json.dumps([MASKED.to_dict(), MASKED.to_coco(42)], allow_nan=False)
    assert MASKED[:0].to_coco(42) == MASKED[:0].to_rows() == MASKED[:0].to_dict()["objects"] == []
    empty = replace(MASKED, masks=Masks.of(np.zeros((2, 3, 4), np.bool_)))
    assert [each["rle"]["counts"] for each in empty.to_dict()["objects"]] == [[12], [12]]
    with pytest.raises(TensorError, match="detections of 1 objects need as many masks, got 2"):
        replace(DETECTIONS[:1], masks=MASKED.masks)
