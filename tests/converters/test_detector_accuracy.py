"""Fitted detectors find the shapes in made pictures, through every kind of file and all that takes detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgehr
from edgehr.card import ModelCard
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.image.boxes import overlaps
from tests.models import fitted_detectors
from tests.models.fitted_detectors import CARDS, Picture

pytestmark = pytest.mark.slow

PICTURES = fitted_detectors.pictures()
TARGETS = {"onnx": ".onnx", "openvino": ".xml"}

Fitted = dict[str, tuple[ModelCard, Path]]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("fitted")
    found = {}
    for kind in CARDS:
        path = folder / f"{kind}.safetensors"
        found[kind] = fitted_detectors.save_fitted(path, kind, PICTURES), path
    return found


@pytest.fixture(scope="module")
def artifact(fitted: Fitted, converted: Callable[..., Path]) -> Callable[[str, str], Path]:
    def convert(kind: str, target: str) -> Path:
        card, weights = fitted[kind]
        return converted(f"fitted-{kind}{TARGETS[target]}", card, weights, target)

    return convert


def assert_found(found: Detections, picture: Picture, *, masks: bool) -> None:
    """All shapes and nothing else, with boxes and masks that fit."""
    assert sorted(found.class_ids.tolist()) == sorted(picture.labels.tolist())
    order = [found.class_ids.tolist().index(label) for label in picture.labels]
    assert np.diag(overlaps(picture.boxes, found.boxes[order])).min() > 0.95
    assert found.scores.min() > 0.9
    if masks:
        assert found.masks is not None
        true = Masks.of(picture.masks)
        assert min(true.overlap(n, found.masks, place) for n, place in enumerate(order)) > 0.8


@pytest.mark.parametrize("kind", CARDS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_shape_is_found(kind: str, target: str, artifact: Callable[[str, str], Path]) -> None:
    with edgehr.ObjectDetector(artifact(kind, target)) as detector:
        for picture in PICTURES:
            assert_found(detector(picture.image), picture, masks=kind == "mask-rcnn")
