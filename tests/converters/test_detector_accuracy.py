"""Fitted detectors find the shapes in made pictures, through every kind of file and all that takes detectors."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgehr
from edgehr.card import ModelCard
from edgehr.cli.main import main
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.image.boxes import overlaps
from tests.conftest import ROOT
from tests.examples.test_embedding_doc import run_page
from tests.models import fitted_detectors
from tests.models.fitted_detectors import CARDS, CLASSES, Picture

pytestmark = pytest.mark.slow

PICTURES = fitted_detectors.pictures()
TARGETS = {"onnx": ".onnx", "openvino": ".xml", "tflite": ".tflite"}

FCOS = ("fcos", "onnx")

Artifact = Callable[[str, str], Path]
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
def artifact(fitted: Fitted, converted: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    compared = tmp_path_factory.mktemp("compared")  # one picture, in place of many parts of photographs
    cv2.imwrite(str(compared / "0.png"), PICTURES[0].image)

    def convert(kind: str, target: str) -> Path:
        card, weights = fitted[kind]
        return converted(f"fitted-{kind}{TARGETS[target]}", card, weights, target, images=compared)

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
def test_every_shape_is_found(kind: str, target: str, artifact: Artifact) -> None:
    with edgehr.ObjectDetector(artifact(kind, target)) as detector:
        for picture in PICTURES:
            assert_found(detector(picture.image), picture, masks=kind == "mask-rcnn")


def coco_file(folder: Path) -> Path:
    """Write the pictures, and all that is in them."""
    entries = []
    for number, picture in enumerate(PICTURES):
        cv2.imwrite(str(folder / f"{number}.png"), picture.image)
        masks = Masks.of(picture.masks)
        columns = picture.boxes.tolist(), picture.labels.tolist(), masks.rle(), masks.areas.tolist()
        for (x1, y1, x2, y2), label, mask, area in zip(*columns, strict=True):
            ids = {"id": len(entries), "image_id": number, "category_id": label + 1}
            entries.append({**ids, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": area, "segmentation": mask})
    height, width = PICTURES[0].image.shape[:2]
    images = [{"id": n, "file_name": f"{n}.png", "height": height, "width": width} for n in range(len(PICTURES))]
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    path = folder / "truth.json"
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": categories}))
    return path


def test_commands_measure_and_compare(artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = coco_file(tmp_path)
    mask_onnx, mask_ir, fcos = (artifact(*each) for each in (("mask-rcnn", "onnx"), ("mask-rcnn", "openvino"), FCOS))

    def told(*arguments: object) -> Any:
        assert main([*map(str, arguments), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    figures = told("eval", mask_onnx, "--annotations", truth)
    assert (figures["ap"], figures["masks"]["ap50"]) == (1, 1)
    assert figures["masks"]["ap"] > 0.8
    assert told("eval", fcos, "--annotations", truth)["masks"] is None
    same = told("verify", mask_onnx, mask_ir, "--annotations", truth)
    assert same["relative"] < 1e-3
    matches = same["agreement"]["matches"]
    assert (matches["pairs"], matches["missed"], matches["added"]) == (6, 0, 0)
    assert min(matches["least_iou"], matches["least_mask_iou"]) > 0.99
    assert matches["largest_score_difference"] < 1e-3
    assert same["agreement"]["ap"]["masks"]["ap"] == 1
    # Detectors that are read in another way are compared by what they find.
    other = told("verify", fcos, mask_ir, "--images", tmp_path)
    assert "relative" not in other
    assert (other["agreement"]["matches"]["pairs"], other["agreement"]["matches"]["least_mask_iou"]) == (6, None)
    assert main(["verify", str(fcos), str(mask_ir), "--max-difference", "1"]) == 1
    assert "use --min-agreement in place of --max-difference" in capsys.readouterr().err
    saved = tmp_path / "drawn"
    assert main(["demo", "--model", str(mask_onnx), "--source", str(tmp_path / "0.png"), "--save", str(saved)]) == 0
    assert "found    objects in 1 of 1 frames" in capsys.readouterr().out
    (drawn,) = saved.iterdir() if saved.is_dir() else (saved,)
    image, clean = cv2.imread(str(drawn)), PICTURES[0].image
    height = clean.shape[0] * 3 // 4  # the demo writes below
    inside = PICTURES[0].masks.any(axis=0)
    assert (image[:height] != clean[:height]).any(axis=2)[inside[:height]].mean() > 0.8


def test_people_for_poses_come_from_any_detector(artifact: Artifact) -> None:
    with edgehr.PoseEstimator(detector=artifact("mask-rcnn", "openvino"), threads=1) as estimator:
        assert isinstance(estimator.detector, edgehr.PersonDetector)
        for picture in PICTURES:
            found = estimator.detector(picture.image)
            assert found.names == ["person"]
            assert overlaps(found.boxes, picture.boxes[picture.labels == 0])[0, 0] > 0.95
            assert len(estimator(picture.image)) == 0  # a circle has no keypoints


@pytest.mark.parametrize("kind", CARDS)
def test_any_picture_has_a_result(kind: str, artifact: Artifact) -> None:
    path = artifact(kind, "onnx")
    with edgehr.ObjectDetector(path, threshold=0.0, threads=1) as everything:
        for shape in ((1, 1), (1, 3000), (10000, 10000)):
            found = everything(np.zeros((*shape, 3), np.uint8))
            assert len(found) <= 100
            assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
            assert (found.boxes <= [shape[1], shape[0]] * 2).all()
            if kind == "mask-rcnn":
                assert found.masks is not None
                assert found.masks.size == shape
        nothing = edgehr.ObjectDetector(everything.runtime, threshold=1.0)(PICTURES[0].image)
        assert len(nothing) == 0
        assert nothing.boxes.shape == (0, 4)
        assert (nothing.masks is None) == (kind == "fcos")
        assert nothing.to_coco(1) == nothing.to_rows() == []
        drawn = PICTURES[0].image.copy()
        edgehr.draw_detections(drawn, nothing)
        assert (drawn == PICTURES[0].image).all()


def test_the_page_on_detection_runs(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main_file = artifact("mask-rcnn", "onnx")
    shutil.copy(main_file, tmp_path / "detector.onnx")
    for part in main_file.parent.glob(f"{main_file.stem}.*_head.onnx"):
        shutil.copy(part, tmp_path)
    cv2.imwrite(str(tmp_path / "picture.jpg"), PICTURES[0].image)
    monkeypatch.chdir(tmp_path)
    names = run_page(ROOT / "docs" / "detection.md")
    said = capsys.readouterr().out
    assert re.search(r"^Detections\(1 \w+, 1 \w+, 1 \w+, with masks, best score 0\.9\d\)$", said, re.MULTILINE)
    assert "(200, 300)\n" in said
    assert "True\n" in said
    assert "[200, 300]\nPoses(0 people, 17 keypoints)\n" in said
    assert len(names["entries"]) == 3
    assert (tmp_path / "drawn.jpg").is_file()
