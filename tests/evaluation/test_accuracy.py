"""AP on COCO people: the whole way from checkpoint to figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgehr.cli.main import main
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.dataset import ImageSample
from edgehr.evaluation.pieces import split
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes import load

pytestmark = pytest.mark.slow

# Of PyTorch, on the first 60 people; of all 379, 0.6070 and 0.6002 (docs/accuracy.md).
SAMPLE_AP, REFERENCE_AP = 0.5781, 0.5733


@pytest.fixture(scope="module")
def people(shared: Path) -> Path:
    return shared / "data" / "coco-val2017-people"


def test_pytorch_has_the_accuracy_of_the_reference_weights(
    few_people: tuple[Path, Path], shared: Path, sample_card: Any
) -> None:
    evaluator = Evaluator.for_card(sample_card)
    weights = shared / "weights" / "litehrnet_wider_naive_18_coco_256x192.safetensors"
    metrics = evaluator.evaluate(TorchRuntime(sample_card, weights), evaluator.read(*few_people))
    assert (metrics.people, metrics.images) == (60, 14)
    assert metrics.ap50 > metrics.ap
    assert metrics.ap == pytest.approx(REFERENCE_AP, abs=0.0002)


@pytest.mark.parametrize("kind", ["sample_onnx", "sample_ir", "sample_tflite"])
def test_converted_models_keep_the_accuracy(
    kind: str, few_people: tuple[Path, Path], request: pytest.FixtureRequest
) -> None:
    with load(request.getfixturevalue(kind)) as runtime:
        evaluator = Evaluator.for_card(runtime.card)
        assert evaluator.evaluate(runtime, evaluator.read(*few_people)).ap == pytest.approx(SAMPLE_AP, abs=0.001)


def test_flipping_finds_more(few_people: tuple[Path, Path], sample_ir: Path, sample_card: Any) -> None:
    evaluator = Evaluator.for_card(sample_card)
    with load(sample_ir) as runtime:  # the same code for every runtime
        flipped = evaluator.evaluate(runtime, evaluator.read(*few_people), flip=True).ap
    assert flipped > SAMPLE_AP + 0.01


def test_detected_boxes_through_the_command_line(
    people: Path, sample_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """True boxes, each given twice with small errors, stand in for a detector: doubles must go, AP must hold."""
    annotations = people / "person_keypoints.json"
    data = json.loads(annotations.read_text())
    data["images"] = data["images"][:12]
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
    common = ["eval", sample_onnx, "--annotations", tmp_path / "a.json", "--images", people / "images", "--json"]
    results = []
    for more in ([], ["--detections", tmp_path / "d.json"]):
        assert main([*map(str, common), *map(str, more)]) == 0
        results.append(json.loads(capsys.readouterr().out))
    truth, detected = results
    assert truth["boxes"] == "ground truth"
    assert truth["people"] < detected["people"] < 1.6 * truth["people"]
    assert detected["ap"] == pytest.approx(truth["ap"], abs=0.05)
    assert truth["ap"] > 0.5


def test_images_that_are_predicted_together_stay_together() -> None:
    images = [ImageSample.with_boxes(number, Path(f"{number}.jpg"), []) for number in range(100)]
    for workers, at_once in ((1, 1), (2, 16), (7, 3), (64, 16)):
        pieces = split(images, workers, at_once)
        assert [image for piece in pieces for image in piece.samples] == images
        assert all(len(piece.samples) % at_once == 0 for piece in pieces[:-1])
