"""AP of the reference weights on COCO people: the whole way from checkpoint to figure, on all three runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgehr.converters.convert import convert
from edgehr.evaluation.base import Evaluator
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes import load

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kept_exports")]


@pytest.fixture(scope="module")
def people(shared: Path) -> Path:
    return shared / "data" / "coco-val2017-people"


@pytest.fixture(scope="module")
def reference_weights(shared: Path) -> Path:
    return shared / "weights" / "litehrnet_wider_naive_18_coco_256x192.safetensors"


@pytest.fixture(scope="module")
def torch_ap(people: Path, reference_weights: Path, sample_card: Any) -> float:
    evaluator = Evaluator.for_card(sample_card)
    dataset = evaluator.read(people / "person_keypoints.json")
    metrics = evaluator.evaluate(TorchRuntime(sample_card, reference_weights), dataset)
    assert (metrics.people, metrics.images) == (379, 126)
    assert metrics.ap50 > metrics.ap > 0.600
    return metrics.ap


@pytest.mark.parametrize(("target", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_converted_models_keep_the_accuracy(
    target: str, suffix: str, people: Path, reference_weights: Path, torch_ap: float, tmp_path: Path, sample_card: Any
) -> None:
    path = tmp_path / f"reference{suffix}"
    report = convert(sample_card, reference_weights, target, out=path)
    assert "user weights" in report.weights
    evaluator = Evaluator.for_card(sample_card)
    dataset = evaluator.read(people / "person_keypoints.json")
    with load(path) as runtime:
        metrics = evaluator.evaluate(runtime, dataset)
        if target == "openvino":  # flipping is the same code for every runtime
            flipped = evaluator.evaluate(runtime, dataset, flip=True)
            assert flipped.ap >= 0.635
    assert metrics.ap == pytest.approx(torch_ap, abs=0.001)
    assert metrics.ap >= 0.600


def test_detected_boxes_through_the_command_line(
    people: Path, sample_onnx: Path, tmp_path: Path, edgehr_command: Any
) -> None:
    """True boxes, each given twice with small errors, stand in for a detector: doubles must go, AP must hold."""
    annotations = people / "person_keypoints.json"
    data = json.loads(annotations.read_text())
    data["images"] = data["images"][:25]
    kept = {image["id"] for image in data["images"]}
    data["annotations"] = [person for person in data["annotations"] if person["image_id"] in kept]
    found = []
    for person in data["annotations"]:
        x, y, w, h = person["bbox"]
        for score, grow in ((0.9, 0.0), (0.6, 0.02)):
            bbox = [x - grow * w, y - grow * h, w * (1 + 2 * grow), h * (1 + 2 * grow)]
            found.append({"image_id": person["image_id"], "category_id": 1, "bbox": bbox, "score": score})
    (tmp_path / "a.json").write_text(json.dumps(data))
    (tmp_path / "d.json").write_text(json.dumps(found))
    common = ("eval", sample_onnx, "--annotations", tmp_path / "a.json", "--images", people / "images", "--json")
    truth = json.loads(edgehr_command(*common).stdout)
    detected = json.loads(edgehr_command(*common, "--detections", tmp_path / "d.json").stdout)
    assert truth["boxes"] == "ground truth"
    assert truth["people"] < detected["people"] < 1.6 * truth["people"]
    assert detected["ap"] == pytest.approx(truth["ap"], abs=0.05)
    assert truth["ap"] > 0.5
