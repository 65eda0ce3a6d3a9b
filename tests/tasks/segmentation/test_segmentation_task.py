"""The segmentation task against the way of mmsegmentation, written plainly in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.segmentation.task import SegmentationTask
from tests.tasks.segmentation.models import FunctionRuntime, pooled, small_card


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def slide_as_mmseg(image: NDArray[np.uint8], size: tuple[int, int], stride: tuple[int, int]) -> torch.Tensor:
    """Logits (C, H, W) of a picture that is as large as a window or larger; the way of `slide_inference`."""
    pixels = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1), np.float32)
    (rows, columns), (height, width) = image.shape[:2], size
    total, count = torch.zeros(3, rows, columns), torch.zeros(1, rows, columns)
    for i in range(max(rows - height + stride[0] - 1, 0) // stride[0] + 1):
        for j in range(max(columns - width + stride[1] - 1, 0) // stride[1] + 1):
            bottom, right = min(i * stride[0] + height, rows), min(j * stride[1] + width, columns)
            top, left = max(bottom - height, 0), max(right - width, 0)
            logits = torch.from_numpy(pooled(pixels[None, :, top:bottom, left:right]))
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
            total[:, top:bottom, left:right] += logits[0]
            count[:, top:bottom, left:right] += 1
    return total / count


@pytest.mark.parametrize("shape", [(32, 64), (50, 70), (90, 200)])
def test_slides_as_mmseg_does(shape: tuple[int, int]) -> None:
    card, image = small_card(), picture(*shape)
    found = SegmentationTask(card).predict(FunctionRuntime(card, pooled), image)
    logits = slide_as_mmseg(image, (32, 64), (21, 43))
    assert (found.class_map == logits.argmax(0).numpy()).mean() > 0.9999
    likely = logits.softmax(0)[1].numpy()
    assert np.abs(found.probability("person") - likely).max() < 1e-4


def test_scales_a_picture_as_mmseg_does_and_its_logits_back() -> None:
    card, image = small_card(scale=(120, 48)), picture(96, 200)
    found = SegmentationTask(card).predict(FunctionRuntime(card, pooled), image)
    scaled = cv2.resize(image, (100, 48), interpolation=cv2.INTER_LINEAR)
    logits = slide_as_mmseg(scaled, (32, 64), (21, 43))
    logits = F.interpolate(logits[None], (96, 200), mode="bilinear", align_corners=False)[0]
    assert (found.class_map == logits.argmax(0).numpy()).mean() > 0.9999


@pytest.mark.parametrize(("fit", "rows", "columns"), [("stretch", 32, 64), ("letterbox", 32, 43)])
def test_takes_the_whole_picture(fit: str, rows: int, columns: int) -> None:
    card, image = small_card(fit=fit), picture(60, 80)
    batch, _ = SegmentationTask(card).preprocess(image)
    assert batch.shape == (1, 3, 32, 64)
    scaled = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
    assert (batch[0, :, :rows, :columns] == scaled[..., ::-1].transpose(2, 0, 1)).all()
    assert not batch[0, :, :, columns:].any()
    found = SegmentationTask(card).predict(FunctionRuntime(card, pooled), image)
    logits = F.interpolate(torch.from_numpy(pooled(batch)), (32, 64), mode="bilinear")[..., :rows, :columns]
    logits = F.interpolate(logits, (60, 80), mode="bilinear")[0]
    assert (found.class_map == logits.argmax(0).numpy()).mean() > 0.9999


def test_upsamples_corners_on_corners_where_the_card_says_so() -> None:
    card, image = small_card(fit="stretch", align_corners=True), picture(50, 90)
    task = SegmentationTask(card)
    batch, context = task.preprocess(image)
    found = task.postprocess({"logits": pooled(batch)}, context)
    logits = F.interpolate(torch.from_numpy(pooled(batch)), (32, 64), mode="bilinear", align_corners=True)
    logits = F.interpolate(logits, (50, 90), mode="bilinear", align_corners=True)[0]
    assert (found.class_map == logits.argmax(0).numpy()).mean() > 0.9999


def test_reads_channels_last() -> None:
    card, image = small_card(), picture(50, 90)
    last = card.with_layout("nhwc")
    first = SegmentationTask(card).predict(FunctionRuntime(card, pooled), image)
    runtime = FunctionRuntime(last, lambda batch: pooled(batch.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1))
    found = SegmentationTask(last).predict(runtime, image)
    assert (found.class_map == first.class_map).all()


def test_normalizes_by_the_card() -> None:
    card = small_card(fit="stretch")
    card = replace(card, input=replace(card.input, mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 5.0)))
    image = np.full((32, 64, 3), (50, 60, 70), np.uint8)  # blue, green, red
    batch, _ = SegmentationTask(card).preprocess(image)
    assert np.allclose(batch[0, :, 0, 0], [(70 - 10) / 2, (60 - 20) / 4, (50 - 30) / 5])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_reads_classes_that_the_model_has_chosen_itself(dtype: Any) -> None:
    card = small_card(output="labels")
    halves = picture(50, 130) // 100  # classes 0 to 2 in the blue channel
    truth = halves[..., 0]
    runtime = FunctionRuntime(card, lambda batch: batch[:, 2].astype(dtype), dtype)
    found = SegmentationTask(card).predict(runtime, halves)
    assert found.class_map.dtype == np.uint8
    assert (found.class_map == truth).all()
    with pytest.raises(EdgehrError, match="returns classes only"):
        found.probability("person")
    with pytest.raises(EdgehrError, match="no flip test"):
        SegmentationTask(card).predict(runtime, halves, flip=True)


def test_takes_probabilities_for_what_they_are() -> None:
    card = small_card(output="probabilities", fit="stretch")
    shares = np.array([0.2, 0.7, 0.1], np.float32)[None, :, None, None]
    runtime = FunctionRuntime(card, lambda batch: np.tile(shares, (len(batch), 1, 8, 16)))
    found = SegmentationTask(card).predict(runtime, picture(40, 40))
    assert found.present == ("person",)
    assert np.allclose(found.probability("tree"), 0.1)


def test_averages_the_mirror_image() -> None:
    card, image = small_card(fit="stretch"), picture(32, 64)
    runtime = FunctionRuntime(card, lambda batch: pooled(batch) * np.linspace(0, 1, 16, dtype=np.float32))
    found = SegmentationTask(card).predict(runtime, image, flip=True)
    turned = SegmentationTask(card).predict(runtime, np.ascontiguousarray(image[:, ::-1]), flip=True)
    assert (found.class_map == turned.class_map[:, ::-1]).mean() > 0.999


def test_many_windows_go_in_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgehr.tasks.segmentation.task.PIXELS_AT_ONCE", 4 * 32 * 64)
    card = small_card()
    runtime = FunctionRuntime(card, pooled)
    SegmentationTask(card).predict(runtime, picture(90, 130))
    assert sum(runtime.batches) == 4 * 3
    assert max(runtime.batches) == 4


def test_makes_one_input_of_each_box_to_calibrate_with() -> None:
    boxes = np.array([[0, 0, 200, 90], [10.5, 10, 50, 60]], np.float32)
    assert SegmentationTask(small_card()).network_inputs(picture(90, 200), boxes).shape == (2, 3, 32, 64)


def test_a_picture_smaller_than_the_windows_is_padded_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    card, image = replace(small_card(), name="padding-32x64"), picture(20, 30)
    batch, context = SegmentationTask(card).preprocess(image)
    assert not batch[..., 20:, :].any()
    assert not batch[..., 30:].any()
    assert SegmentationTask(card).postprocess({"logits": pooled(batch)}, context).class_map.shape == (20, 30)
    SegmentationTask(card).preprocess(image)
    assert caplog.text.count("a picture of 30x20 is smaller and is padded") == 1


def test_compares_maps_and_classes() -> None:
    task = SegmentationTask(small_card(fit="stretch"))
    logits = pooled(task.preprocess(picture(32, 64))[0])
    same = task.compare({"logits": logits}, {"logits": logits})
    assert (same.same, same.largest, same.pixels) == (1, 0, 8 * 16)
    other = logits.copy()
    other[0, :, 0, 0] = np.roll(logits[0, :, 0, 0], 1)
    assert task.compare({"logits": logits}, {"logits": other}).same == 1 - 1 / 128
    up = F.interpolate(torch.from_numpy(logits), (32, 64), mode="bilinear").argmax(1).numpy()
    exact = task.compare({"logits": logits}, {"labels": up})
    assert (exact.same, exact.relative_mean, exact.correlation, exact.pixels) == (1, 0, 1, 32 * 64)
    up[0, :16] = (up[0, :16] + 1) % 3
    half = task.compare({"logits": logits}, {"labels": up})
    assert (half.same, half.relative_mean) == (0.5, 0.5)
    assert "50.000 %" in str(half)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            {"logits": np.zeros((1, 5, 8, 16), np.float32)},
            r"1 windows of 3 classes .*do the card's classes fit",
        ),
        ({"logits": np.full((1, 3, 8, 16), np.nan, np.float32)}, "not finite"),
        ({"other": np.zeros((1, 3, 8, 16), np.float32)}, "returns 'logits', got 'other'"),
    ],
)
def test_refuses_outputs_that_do_not_fit(outputs: dict[str, Any], message: str) -> None:
    task = SegmentationTask(small_card(fit="stretch"))
    with pytest.raises(TensorError, match=message):
        task.postprocess(outputs, task.preprocess(picture(20, 20))[1])


def test_refuses_classes_that_the_card_has_not() -> None:
    task = SegmentationTask(small_card(output="labels", fit="stretch"))
    with pytest.raises(TensorError, match="returned classes 0 to 7, but knows 0 to 2"):
        task.postprocess(
            {"labels": np.full((1, 32, 64), 7) * np.eye(32, 64, dtype=int)}, task.preprocess(picture(9, 9))[1]
        )


def test_refuses_boxes_and_outputs_of_an_unknown_kind() -> None:
    with pytest.raises(TensorError, match="whole images"):
        SegmentationTask(small_card()).preprocess(picture(9, 9), [0, 0, 3, 3])
    with pytest.raises(EdgehrError, match="must be named logits, probabilities, labels"):
        SegmentationTask(small_card(output="heatmaps"))
