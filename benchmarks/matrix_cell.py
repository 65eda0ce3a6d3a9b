"""One conversion of the model matrix: its weights, the conversion, and what is measured of the artifact."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.quantizer.passes import equalization
from edgehr.card import ModelCard
from edgehr.converters.convert import convert
from edgehr.converters.source import ONNX_ARCHITECTURES, open_source
from edgehr.converters.target import make_target
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.base import Evaluator
from edgehr.runtimes import load
from edgehr.runtimes.formats import format_of
from edgehr.tasks.base import Task
from edgehr.zoo import find_weights
from tests.models.made_weights import save_made_weights

CALIBRATION, HELD_OUT = "coco-train2017-people", "coco-val2017-people"
ANNOTATIONS = "person_keypoints.json"
# To see that INT8 is right takes fewer calibration crops, and steps of equalization, than to make it good.
CROPS, EQUALIZATION_STEPS = 16, 20
AGREEMENT_IMAGES = 20
ROUNDS = 15


def checkpoint(card: ModelCard, given: Path | None, folder: Path) -> tuple[Path, str]:
    """Find a checkpoint of a model or make one.

    Args:
        card: The model, at any input size.
        given: Folder of checkpoints that are named as cards, at any size.
        folder: Where one is made.

    Returns:
        The file, and where it is from, in a word.
    """
    own = sorted(given.glob(f"{card.name.rsplit('-', 1)[0]}-*.*")) if given else []
    if own:
        return own[0], "given"
    try:
        return find_weights(card), card.weights.origin
    except EdgehrError:
        if card.architecture in ONNX_ARCHITECTURES:
            raise
    path = folder / "made.safetensors"
    if not path.is_file():
        save_made_weights(card, path)
    return path, "made"


def measure_conversion(
    card: ModelCard, weights: Path, target: str, precision: str, folder: Path, shared: Path, held_out: HeldOut
) -> dict[str, Any]:
    """Convert once, and return what is known of the artifact, which stays where `artifact_of` says."""
    options: dict[str, Any] = {"precision": precision}
    if precision == "int8":
        options["calibration"] = CalibrationSet.of(_calibration(card, shared), max_crops=CROPS)
    made = make_target(target, **options)
    path = artifact_of(folder, target, precision)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equalization, "STEPS", EQUALIZATION_STEPS)
        report = convert(card, weights, made, out=path)
    difference = report.difference
    figures: dict[str, Any] = {
        "relative": difference.relative,
        "relative_mean": difference.relative_mean,
        "correlation": difference.correlation,
        "size_bytes": report.size_bytes,
    }
    coverage = format_of(path).coverage(path)
    if coverage is not None and precision == "int8":
        figures["int8_share"] = coverage.int8_share
    if target == "tensorrt":  # plans run on NVIDIA's GPUs only
        _delete(path)
    elif precision == "int8":
        figures["agreement"] = held_out.agreement(weights, path)
    return figures


def artifact_of(folder: Path, target: str, precision: str) -> Path:
    """Return where an artifact lies until it was timed."""
    return folder / f"{target}-{precision}{make_target(target).suffix}"


def _calibration(card: ModelCard, shared: Path) -> Path:
    """Give people to a task that takes boxes, whole pictures to the others."""
    people = shared / "data" / CALIBRATION / ANNOTATIONS
    return people if Task.for_card(card).takes_boxes else people.parent / "images"


def time_artifact(path: Path) -> float:
    """Time one inference, and delete the artifact; returns the median of several, in milliseconds."""
    with load(path) as runtime:
        spec = runtime.inputs[0]
        image = np.random.default_rng(0).standard_normal([1, *spec.shape[1:]]).astype(spec.dtype)
        times = []
        for _ in range(3 + ROUNDS):
            start = time.perf_counter()
            runtime.infer({spec.name: image})
            times.append(time.perf_counter() - start)
    _delete(path)
    return float(1000 * np.median(times[3:]))


class HeldOut:
    """Pictures that no model was calibrated on, and what PyTorch finds there, which is computed once for a model."""

    def __init__(self, card: ModelCard, shared: Path) -> None:
        self._card, self._shared = card, shared
        self._found: dict[Path, list[Any]] = {}

    def agreement(self, weights: Path, path: Path) -> float | None:
        """Compute the mean similarity of an artifact's results with those of PyTorch, as `edgehr verify` does."""
        if weights not in self._found:
            with open_source(self._card, weights).reference as runtime:
                self._found[weights] = Evaluator.for_card(self._card).predict(runtime, self._images())
        with load(path) as runtime:
            evaluator = Evaluator.for_card(runtime.require_artifact().card)
            images = self._images()
            results = evaluator.predict(runtime, images)
        pairs = zip(images, self._found[weights], results, strict=True)
        found = np.concatenate([evaluator.similarities(*each) for each in pairs])
        return None if np.isnan(found).all() else float(np.nanmean(found))

    def _images(self) -> list[Any]:
        """List them, with their people as boxes where the task takes boxes."""
        annotations = Annotations.read(self._shared / "data" / HELD_OUT / ANNOTATIONS)
        images = annotations.ground_truth(annotations.images_beside)[:AGREEMENT_IMAGES]
        takes_boxes = Task.for_card(self._card).takes_boxes
        return [image if takes_boxes else replace(image, boxes=image.boxes[:0]) for image in images]


def _delete(path: Path) -> None:
    for file in format_of(path).files(path):
        file.unlink()
