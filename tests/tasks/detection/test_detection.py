"""The detection task against a plain implementation of the same method, one place and one box at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgehr.card import InputSpec, ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.base import Task
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.tasks.detection.task import DetectionTask
from edgehr.zoo import DEFAULT_MODEL, get_card

CARD = get_card("yolox-nano-coco-416x416")
Found = list[tuple[float, list[float]]]


def overlap(one: list[float], two: list[float]) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return shared / (sum(areas) - shared)


def plain(raw: np.ndarray, card: ModelCard, height: int, width: int, threshold: float, nms: float) -> Found:
    """What `postprocess` does, in loops."""
    assert card.spec is not None
    scale = min(card.input.height / height, card.input.width / width)
    found: Found = []
    row = iter(raw[0].astype(float))
    for stride in card.spec.strides:
        for y in range(card.input.height // stride):
            for x in range(card.input.width // stride):
                values = next(row)
                score = values[4] * values[5]
                if score < threshold:
                    continue
                center_x, center_y = (values[0] + x) * stride, (values[1] + y) * stride
                half_width, half_height = math.exp(values[2]) * stride / 2, math.exp(values[3]) * stride / 2
                sides = center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height
                limits = (width, height, width, height)
                box = [min(max(side / scale, 0), limit) for side, limit in zip(sides, limits, strict=True)]
                if box[2] > box[0] and box[3] > box[1]:
                    found.append((score, box))
    kept: Found = []
    for score, box in sorted(found, reverse=True):
        if all(overlap(box, other) <= nms for _, other in kept):
            kept.append((score, box))
    return kept


def random_output(seed: int, people: int) -> np.ndarray:
    """Raw output with `people` clusters of overlapping candidates, and weak ones everywhere else."""
    rng = np.random.default_rng(seed)
    places, columns = DetectionTask(CARD).output_shapes()["output"]
    raw = rng.normal(0, 1, (1, places, columns)).astype(np.float32)
    raw[..., 4:] = rng.uniform(0, 0.3, (1, places, columns - 4))
    for place in rng.integers(0, places - 3, people):
        raw[0, place : place + 3, :2] = rng.uniform(-1, 1, 2)
        raw[0, place : place + 3, 2:4] = rng.uniform(0.5, 3, 2)
        raw[0, place : place + 3, 4:6] = rng.uniform(0.6, 1, (3, 2))
    return raw


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 427), (1080, 1920), (30, 700), (50, 50)])
def test_agrees_with_the_plain_implementation(height: int, width: int) -> None:
    for seed, (threshold, nms) in enumerate([(0.4, 0.5), (0.05, 0.65), (0.7, 0.3)]):
        task = DetectionTask(CARD, threshold, nms, classes=("person",))
        _, context = task.preprocess(np.zeros((height, width, 3), np.uint8))
        raw = random_output(seed, 12)
        found = task.postprocess({"output": raw}, context)
        expected = plain(raw, CARD, height, width, threshold, nms)
        assert len(found) == len(expected) > 0
        assert np.allclose(found.scores, [score for score, _ in expected], atol=1e-5)
        assert np.allclose(found.boxes, [box for _, box in expected], atol=1e-2 * max(1, height / 416, width / 416))
        assert found.boxes.dtype == found.scores.dtype == np.float32


def test_half_precision_output_is_widened_first() -> None:
    task = DetectionTask(CARD, classes=("person",))
    _, context = task.preprocess(np.zeros((480, 640, 3), np.uint8))
    half = random_output(0, 12).astype(np.float16)
    one, two = (task.postprocess({"output": raw}, context) for raw in (half, half.astype(np.float32)))
    assert np.array_equal(one.boxes, two.boxes)
    assert one.boxes.dtype == one.scores.dtype == np.float32


def test_the_picture_lies_in_the_upper_left_of_a_gray_input() -> None:
    image = np.random.default_rng(0).integers(0, 256, (208, 104, 3), np.uint8)
    batch, context = DetectionTask(CARD).preprocess(image)
    assert batch.shape == (1, 3, 416, 416)
    assert batch.dtype == np.float32
    assert batch.flags["C_CONTIGUOUS"]
    expected = np.full((416, 416, 3), 114, np.uint8)
    expected[:, :208] = cv2.resize(image, (208, 416), interpolation=cv2.INTER_LINEAR)
    assert (batch[0].transpose(1, 2, 0) == expected).all()
    assert (context.width, context.height, context.scale) == (104, 208, (2.0, 2.0))


def test_color_order_and_normalization_are_the_card_s() -> None:
    image = np.full((416, 416, 3), (10, 20, 30), np.uint8)
    spec = InputSpec(416, 416, "rgb", (10, 10, 10), (2, 2, 2), "images")
    batch, _ = DetectionTask(replace(CARD, input=spec)).preprocess(image)
    assert batch.dtype == np.float32
    assert batch[0, :, 0, 0].tolist() == [10, 5, 0]


def test_gray_and_transparent_pictures_and_lines_are_taken() -> None:
    task = DetectionTask(CARD, classes=("person",))
    for shape in ((50, 60), (50, 60, 1), (50, 60, 4), (1, 5000, 3), (5000, 1, 3)):
        assert task.preprocess(np.zeros(shape, np.uint8))[0].shape == (1, 3, 416, 416)
    with pytest.raises(TensorError):
        task.preprocess(np.zeros((50, 60, 3)))


def test_other_classes_are_not_people() -> None:
    task = DetectionTask(CARD, classes=("person",))
    _, context = task.preprocess(np.zeros((416, 416, 3), np.uint8))
    raw = np.zeros((1, *task.output_shapes()["output"]), np.float32)
    raw[0, 100, 4:] = 1
    raw[0, 100, 5] = 0  # everything but a person
    assert len(task.postprocess({"output": raw}, context)) == 0
    found = DetectionTask(CARD, classes=("dog",)).postprocess({"output": raw}, context)
    assert found.class_ids.tolist() == [16]
    everything = DetectionTask(CARD).postprocess({"output": raw}, context)
    assert sorted(everything.class_ids.tolist()) == list(range(1, 80))  # suppression is among boxes of a class
    with pytest.raises(EdgehrError, match="knows no class 'unicorn', but person, bicycle"):
        DetectionTask(CARD, classes=("unicorn",))


def test_boxes_stay_inside_the_picture_and_broken_ones_are_dropped() -> None:
    task = DetectionTask(CARD, classes=("person",))
    _, context = task.preprocess(np.zeros((100, 416, 3), np.uint8))
    raw = np.zeros((1, *task.output_shapes()["output"]), np.float32)
    raw[0, [0, 1000, 2000, 3548], 4:6] = 1
    raw[0, 0, 2:4] = 200  # overflows
    raw[0, 1000, :4] = np.nan
    raw[0, 2000, 4] = np.nan
    # the last place is in the letterbox, beside the picture
    found = task.postprocess({"output": raw}, context)
    assert found.boxes.tolist() == [[0, 0, 416, 100]]


def test_wrong_outputs_and_settings_are_refused() -> None:
    task = DetectionTask(CARD, classes=("person",))
    _, context = task.preprocess(np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(TensorError, match="returns 'output', got 'boxes'"):
        task.postprocess({"boxes": np.zeros(3)}, context)
    for shape in ((1, 3549, 84), (2, 3549, 85), (3549, 85)):
        with pytest.raises(TensorError, match=r"must be \(1, 3549, 85\)"):
            task.postprocess({"output": np.zeros(shape, np.float32)}, context)
    for settings, message in (((1.5, 0.5), "threshold"), ((0.5, -1), "nms")):
        with pytest.raises(EdgehrError, match=message):
            DetectionTask(CARD, *settings)
    with pytest.raises(EdgehrError, match="model for pose, not for detection"):
        DetectionTask(get_card(DEFAULT_MODEL))
    assert isinstance(Task.for_card(CARD), DetectionTask)
    with pytest.raises(TensorError, match="looks at whole images"):
        task.preprocess(np.zeros((50, 50, 3), np.uint8), [0, 0, 10, 10])
    with pytest.raises(
        EdgehrError, match="unknown detector architecture 'ssd': expected one of rtmdet, yolox, yunet, hrnet_fcos"
    ):
        DetectionTask(replace(CARD, architecture="ssd"))
    with pytest.raises(TensorError, match="detections need"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(3, np.float32))
    with pytest.raises(TensorError, match="as many class_ids"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(2, np.float32), np.zeros(3, np.int64))
    assert len(Detections.none()) == 0


def test_other_sizes_and_strides() -> None:
    spec, detection = replace(CARD.input, height=64, width=128), DetectionSpec(("head", "person"), (16, 32))
    task = DetectionTask(replace(CARD, input=spec, spec=detection))
    assert task.output_shapes() == {"output": (4 * 8 + 2 * 4, 7)}
    raw = np.zeros((1, 40, 7), np.float32)
    boxes = task.boxes({"output": raw})
    assert boxes[0, 0].tolist() == [-8, -8, 8, 8]
    assert boxes[0, 31].tolist() == [7 * 16 - 8, 3 * 16 - 8, 7 * 16 + 8, 3 * 16 + 8]
    assert boxes[0, 39].tolist() == [3 * 32 - 16, 32 - 16, 3 * 32 + 16, 32 + 16]
