"""Detectors on HRNetV2p, from a checkpoint to what artifacts find in a photograph. Small networks with made weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgehr
from edgehr.assets import photographs
from edgehr.card import ModelCard
from edgehr.converters.convert import convert
from edgehr.models.runtime import TorchRuntime
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec, RegionSpec
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.image.reading import read_image
from edgehr.zoo import get_card
from tests.models.narrow_hrnet import save_weights

pytestmark = pytest.mark.slow

CLASSES = ("person", "camera", "rocket")
STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "fcos": ("fcos-hrnetv2p-w18-1x-coco-800x1344", {}),
    "cascade-mask-rcnn": ("cascade-mask-rcnn-hrnetv2p-w18-20e-coco-800x1344", {"stages": 3, "masks": True}),
}


def small(kind: str) -> ModelCard:
    name, parameters = KINDS[kind]
    card = get_card(name).with_size(96, 128)
    spec = card.spec_as(DetectionSpec)
    regions = RegionSpec(STDS[: len(spec.regions.box_stds)], max_proposals=20, masks=spec.regions.masks)
    return replace(
        card,
        name=f"{kind}-96x128",
        parameters={"width": 8, "depth": "small_v1", **parameters},
        spec=replace(spec, classes=CLASSES, regions=regions),
    )


def find(card: ModelCard, runtime: Any) -> Detections:
    return DetectionTask(card, threshold=0.05).predict(runtime, read_image(photographs()[0]))


def assert_same(found: Detections, wanted: Detections, pixels: float, scores: float) -> None:
    assert len(wanted) > 3
    assert found.class_ids.tolist() == wanted.class_ids.tolist()
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=pixels)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=scores)
    assert (found.masks is None) == (wanted.masks is None)
    if found.masks is not None and wanted.masks is not None:
        assert np.abs(found.masks.areas - wanted.masks.areas).max() <= 0.01 * wanted.masks.areas.max()


@pytest.mark.parametrize(
    ("kind", "target", "suffix"),
    [("fcos", "openvino", ".xml"), ("cascade-mask-rcnn", "onnx", ".onnx")],
)
def test_artifacts_find_what_pytorch_finds(kind: str, target: str, suffix: str, tmp_path: Path) -> None:
    card = small(kind)
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, card)
    with TorchRuntime(card, weights) as reference:
        wanted = find(card, reference)
    (tmp_path / "pictures").mkdir()
    shutil.copy(photographs()[0], tmp_path / "pictures")
    report = convert(card, weights, target, out=tmp_path / f"{kind}{suffix}", images=tmp_path / "pictures")
    assert report.difference.relative_mean < 1e-5
    with edgehr.load(report.path, precision="fp32" if target == "openvino" else None) as runtime:
        assert sorted(runtime.parts) == sorted(DetectionTask(card).part_specs())
        assert_same(find(runtime.card, runtime), wanted, pixels=0.05, scores=1e-4)
