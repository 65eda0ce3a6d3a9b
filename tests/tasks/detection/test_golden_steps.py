"""The steps of detectors on HRNetV2p against what mmdetection computes, from golden files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgehr.card import InputSpec, ModelCard
from edgehr.tasks.detection.masks import paste
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.detection.two_stage.boxes import sigmoid
from edgehr.tasks.detection.two_stage.proposals import AnchorGrid, propose
from edgehr.tasks.detection.two_stage.regions import choose_detections
from edgehr.tasks.detection.two_stage.roi_align import roi_align
from edgehr.tasks.image.letterbox import Letterbox
from edgehr.zoo import get_card
from tests import golden_files

PIXELS, SCORES = 1e-3, 1e-6


def places(maps: list[np.ndarray], columns: int) -> np.ndarray:
    """Maps (1, C, h, w) of all levels as (places or anchors, columns)."""
    return np.concatenate([each[0].transpose(1, 2, 0).reshape(-1, columns) for each in maps])


def letterbox(meta: dict[str, object]) -> Letterbox:
    (rows, columns), (height, width), scale = (meta[name] for name in ("ori_shape", "img_shape", "scale_factor"))  # type: ignore[misc]
    return Letterbox(columns, rows, (width, height), tuple(scale))  # type: ignore[has-type]


def fcos_card(size: tuple[int, int]) -> ModelCard:
    return get_card("fcos-hrnetv2p-w18-1x-coco-800x1344").with_size(*size)


@pytest.mark.parametrize("path", golden_files.matching(r"fcos_post_.*"))
def test_fcos_detections(path: Path) -> None:
    meta, data = golden_files.load(path)
    task = DetectionTask(fcos_card(meta["pad_shape"]), threshold=0.0)
    kinds = {"scores": ("cls", 80), "boxes": ("bbox", 4), "centerness": ("ctr", 1)}
    levels = range(len(meta["strides"]))
    outputs = {
        name: places([data[f"in_{kind}{level}"] for level in levels], count)[None]
        for name, (kind, count) in kinds.items()
    }
    found = task.postprocess(outputs, letterbox(meta))
    assert found.class_ids.tolist() == data["out_labels"].tolist()
    np.testing.assert_allclose(found.boxes, data["out_boxes"], atol=PIXELS, rtol=0)
    np.testing.assert_allclose(found.scores, data["out_scores"], atol=SCORES, rtol=0)


@pytest.mark.parametrize("path", golden_files.matching(r"faster_rpn_post_.*"))
def test_proposals(path: Path) -> None:
    meta, data = golden_files.load(path)
    levels = range(len(meta["strides"]))
    shapes = [data[f"in_cls{level}"].shape[2:] for level in levels]
    anchors = AnchorGrid.of(meta["strides"], shapes, meta["anchor_scale"], meta["ratios"])
    objectness = places([data[f"in_cls{level}"] for level in levels], 1)[:, 0]
    deltas = places([data[f"in_bbox{level}"] for level in levels], 4)
    most = meta["test_cfg"]["rpn"]["max_per_img"] if "rpn" in meta["test_cfg"] else meta["test_cfg"]["max_per_img"]
    boxes, scores = propose(objectness, deltas, anchors, meta["img_shape"], most)
    np.testing.assert_allclose(boxes, data["out_boxes"], atol=PIXELS, rtol=0)
    np.testing.assert_allclose(scores, data["out_scores"], atol=SCORES, rtol=0)


@pytest.mark.parametrize("path", golden_files.matching(r"faster_box_post_.*"))
def test_detections_of_regions(path: Path) -> None:
    meta, data = golden_files.load(path)
    stds = meta.get("bbox_stds", meta.get("stds", [0.1, 0.1, 0.2, 0.2]))
    boxes, scores, labels = choose_detections(data["in_rois"], data["in_bbox"], data["in_cls"], stds, meta["img_shape"])
    assert labels.tolist() == data["out_labels"].tolist()
    np.testing.assert_allclose(boxes, data["out_boxes_net"], atol=PIXELS, rtol=0)
    np.testing.assert_allclose(letterbox(meta).to_image(boxes), data["out_boxes"], atol=PIXELS, rtol=0)
    np.testing.assert_allclose(scores, data["out_scores"], atol=SCORES, rtol=0)


@pytest.mark.parametrize("path", golden_files.matching(r"mask_paste_.*"))
def test_pasted_masks(path: Path) -> None:
    meta, data = golden_files.load(path)
    probabilities = sigmoid(data["in_logits"])
    for size, boxes, wanted, areas in (
        (meta["ori_shape"], "out_boxes", "out_masks", "out_area"),
        (meta["img_shape"], "in_boxes", "out_masks_net", "out_area_net"),
    ):
        masks = paste(probabilities, data[boxes], tuple(size))
        found = np.stack([masks.full(number) for number in range(len(masks))])
        assert np.array_equal(np.packbits(found, axis=-1), data[wanted])
        assert masks.areas.tolist() == data[areas].tolist()


@pytest.mark.parametrize("path", golden_files.matching(r"roi_align_.*"))
def test_features_of_regions(path: Path) -> None:
    meta, data = golden_files.load(path)
    features = golden_files.fill(path).image(meta["input_seed"], meta["input_shape"]).transpose(0, 2, 3, 1)
    for name in (key for key in data if key.startswith("out")):
        size = data[name].shape[-1]
        for picture in np.unique(data["rois"][:, 0]):
            rows = data["rois"][:, 0] == picture
            found = roi_align(features[int(picture)], data["rois"][rows, 1:], meta["spatial_scale"], size)
            wanted = data[name][rows].transpose(0, 2, 3, 1)
            np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("path", golden_files.matching(r"preprocess_.*"))
@pytest.mark.parametrize("kind", ["faster", "fcos"])
def test_network_inputs(path: Path, kind: str) -> None:
    meta, data = golden_files.load(path)
    about, card = meta[kind], fcos_card((800, 1344))
    colors = about["data_preprocessor"]
    height, width = about["pad_shape"]
    values = tuple(colors["mean"]), tuple(colors["std"])
    spec = InputSpec(height, width, about["channels"].lower(), *values)
    batch, context = DetectionTask(replace(card, input=spec)).preprocess(data["image"])
    np.testing.assert_allclose(batch[:, :, ::8, ::8], data[f"{kind}_sample"], atol=1e-6)
    rows, columns = about["img_shape"]
    corner = batch[:, :, rows - 12 : rows + 4, columns - 12 : columns + 4]
    np.testing.assert_allclose(corner, data[f"{kind}_corner"], atol=1e-6)
    assert context.scale == pytest.approx(about["scale_factor"])
    for height, width, *resized_and_padded, across, down in data["sizes"]:
        rows, columns, padded_rows, padded_columns = map(int, resized_and_padded)
        blank = np.zeros((int(height), int(width), 3), np.uint8)
        box = Letterbox.of(blank, padded_rows, padded_columns, within=(1333, 800), rounded=True)
        assert box.resized == (columns, rows)
        assert box.scale == pytest.approx((across, down))
