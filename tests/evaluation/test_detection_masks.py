"""AP of boxes and masks against COCO's evaluation, restated plainly; masks of annotations; matched objects."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.detection.agreement import Matches
from edgehr.evaluation.detection.evaluator import DetectionEvaluator
from edgehr.tasks.coco import compressed_runs, mask_runs
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.zoo import get_card

pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval")

HEIGHT, WIDTH = 160, 200
CLASSES = ("cat", "dog")
MASK_RCNN = get_card("mask-rcnn-hrnetv2p-w18-1x-coco-800x1344")
CARD: ModelCard = replace(MASK_RCNN, spec=replace(MASK_RCNN.spec_as(DetectionSpec), classes=CLASSES))
AREAS = {"": (0, 1e10), "_small": (0, 32**2), "_medium": (32**2, 96**2), "_large": (96**2, 1e10)}
LEVELS = np.linspace(0.5, 0.95, 10)

Objects = list[dict[str, Any]]


def ellipse(box: Any) -> np.ndarray:
    x1, y1, x2, y2 = box
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return ((x - (x1 + x2) / 2) * 2 / (x2 - x1)) ** 2 + ((y - (y1 + y2) / 2) * 2 / (y2 - y1)) ** 2 <= 1


def made_data(seed: int, pictures: int = 6) -> tuple[Objects, Objects]:
    """Annotated ellipses, some of them crowds, and what a poor detector finds of them."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for picture in range(pictures):
        for _ in range(8):
            corner, size = rng.uniform(0, 100, 2), rng.choice([12, 40, 90]) * rng.uniform(0.6, 1.1, 2)
            box, label = np.float32([*corner, *np.minimum(corner + size, [WIDTH, HEIGHT])]), int(rng.integers(2))
            object_ = {"picture": picture, "label": label, "box": box, "mask": ellipse(box)}
            truth.append({**object_, "crowd": bool(rng.random() < 0.1)})
            for _ in range(rng.integers(0, 3)):
                moved = np.clip(box + rng.normal(0, 0.08, 4) * size.mean(), 0, [WIDTH, HEIGHT] * 2).astype(np.float32)
                moved = moved if (moved[2:] > moved[:2] + 1).all() else box
                label = label if rng.random() < 0.8 else 1 - label
                score = np.float32(rng.random())
                found.append({**object_, "label": label, "box": moved, "mask": ellipse(moved), "score": score})
    return truth, found


def as_detections(found: Objects, picture: int) -> Detections:
    own = [each for each in found if each["picture"] == picture]
    boxes, scores, labels = (np.array([each[key] for each in own]) for key in ("box", "score", "label"))
    masks = Masks.of(np.array([each["mask"] for each in own]).reshape(-1, HEIGHT, WIDTH))
    return Detections(boxes.reshape(-1, 4), scores.astype(np.float32), labels.astype(int), classes=CLASSES, masks=masks)


def area(object_: dict[str, Any], kind: str) -> float:
    x1, y1, x2, y2 = object_["box"].astype(float)
    return float(object_["mask"].sum()) if kind == "mask" else (x2 - x1) * (y2 - y1)


def iou(one: dict[str, Any], true: dict[str, Any], kind: str) -> float:
    if kind == "mask":
        shared = float((one["mask"] & true["mask"]).sum())
    else:
        low = np.maximum(one["box"][:2], true["box"][:2]).astype(float)
        high = np.minimum(one["box"][2:], true["box"][2:]).astype(float)
        shared = float(np.prod(np.clip(high - low, 0, None)))
    # Only what lies outside of a crowd counts against what is found in it.
    whole = area(one, kind) if true["crowd"] else area(one, kind) + area(true, kind) - shared
    return shared / whole


def judged(trues: Objects, own: Objects, level: float, sizes: tuple[float, float], kind: str) -> Any:
    """Match what is found in one picture, of one class; give scores and verdicts, and how many there are to find."""
    ignored = [each["crowd"] or not sizes[0] <= annotated_area(each) <= sizes[1] for each in trues]
    verdicts, taken = [], set()
    for one in sorted(own, key=lambda each: -each["score"]):
        best, nearest = None, level
        for place in sorted(range(len(trues)), key=lambda place: ignored[place]):
            if best is not None and not ignored[best] and ignored[place]:
                break
            overlap = iou(one, trues[place], kind)
            if overlap >= nearest and (trues[place]["crowd"] or place not in taken):
                best, nearest = place, overlap
        taken.add(best)
        if not ignored[best] if best is not None else sizes[0] <= area(one, kind) <= sizes[1]:
            verdicts.append((one["score"], best is not None))
    return verdicts, ignored.count(False)


def plain_figures(truth: Objects, found: Objects, kind: str) -> dict[str, float]:
    """COCO's evaluation: AP over levels, at 0.5 and 0.75, of sizes, and AR, in loops."""
    table: dict[tuple[str, int], list[tuple[float, float]]] = {}
    pictures = {each["picture"] for each in truth}
    for (name, sizes), label, (number, level) in product(AREAS.items(), range(len(CLASSES)), enumerate(LEVELS)):
        own = [
            [[each for each in objects if (each["picture"], each["label"]) == (n, label)] for objects in (truth, found)]
            for n in pictures
        ]
        judgments = [judged(*each, level, sizes, kind) for each in own]
        wanted = sum(count for _, count in judgments)
        if wanted:
            verdicts = sorted((each for some, _ in judgments for each in some), key=lambda each: -each[0])
            right = np.cumsum([hit for _, hit in verdicts])
            recall, precision = right / wanted, right / (1 + np.arange(len(right)))
            points = [max(precision[recall >= r], default=0) for r in np.linspace(0, 1, 101)]
            table.setdefault((name, number), []).append((float(np.mean(points)), float(max(recall, default=0))))

    def mean(name: str, column: int = 0, levels: Any = range(10)) -> float:
        values = [entry[column] for level in levels for entry in table.get((name, level), [])]
        return float(np.mean(values)) if values else float("nan")

    of_sizes = {f"ap{name}": mean(name) for name in AREAS}
    return {**of_sizes, "ap50": mean("", levels=[0]), "ap75": mean("", levels=[5]), "ar": mean("", 1)}


def annotated_area(true: dict[str, Any]) -> float:
    return float(true["mask"].sum())


def write_file(folder: Path, truth: Objects) -> Path:
    """Write a COCO file, masks as run lengths, compressed or not."""
    pictures = sorted({each["picture"] for each in truth})
    for number in pictures:
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    annotations = []
    for number, each in enumerate(truth):
        x1, y1, x2, y2 = each["box"].tolist()
        runs = mask_runs(each["mask"])
        counts = compressed_runs(runs) if number % 2 else runs.tolist()
        entry = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": annotated_area(each), "iscrowd": int(each["crowd"])}
        mask = {"size": [HEIGHT, WIDTH], "counts": counts}
        ids = {"id": number, "image_id": each["picture"], "category_id": 7 + each["label"]}
        annotations.append({**ids, **entry, "segmentation": mask})
    images = [{"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in pictures]
    categories = [{"id": 7 + number, "name": name} for number, name in enumerate(CLASSES)]
    path = folder / "truth.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


@pytest.mark.parametrize("seed", [0, 1])
def test_figures_are_those_of_coco(seed: int, tmp_path: Path) -> None:
    truth, found = made_data(seed)
    evaluator = DetectionEvaluator(CARD)
    dataset = evaluator.read(write_file(tmp_path, truth))
    results = [as_detections(found, image.image_id) for image in dataset.images]
    metrics = evaluator.score(dataset, results)
    assert metrics.masks is not None
    for kind, metric in (("box", metrics), ("mask", metrics.masks)):
        for name, value in plain_figures(truth, found, kind).items():
            assert getattr(metric, name) == pytest.approx(value, abs=1e-6, nan_ok=True), (kind, name)
    assert 0.05 < metrics.masks.ap < metrics.ap50 < 1
    assert metrics.to_dict()["masks"]["ap"] == metrics.masks.ap
    assert list(metrics.kinds) == ["boxes", "masks"]
    boxes_only = evaluator.score(dataset, [replace(each, masks=None) for each in results])
    assert (boxes_only.masks, boxes_only.ap) == (None, metrics.ap)
    nothing = evaluator.score(dataset, [each[:0] for each in results])
    assert nothing.masks is not None
    assert (nothing.ap, nothing.masks.ap) == (0, 0)


def one_object(folder: Path, segmentation: Any, more: Any = None) -> Path:
    truth, _ = made_data(0, pictures=1)
    path = write_file(folder, truth[:2])
    data = json.loads(path.read_text())
    data["annotations"][0] |= {"category_id": 7, "bbox": [20, 10, 40, 30], "area": 1200, "iscrowd": 0}
    data["annotations"][0]["segmentation"] = segmentation
    data["annotations"] = data["annotations"][:1] if more is None else [*data["annotations"][:1], more]
    path.write_text(json.dumps(data))
    return path


SQUARE = [20, 10, 60, 10, 60, 40, 20, 40]


def rectangle() -> Detections:
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 10:40, 20:60] = True
    return Detections(
        np.float32([[20, 10, 60, 40]]), np.ones(1, np.float32), np.zeros(1, int), classes=CLASSES, masks=Masks.of(mask)
    )


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,
        [[str(value) for value in SQUARE]],
        [[*SQUARE[:4], 60, 25, 20, 25], [20, 25, 60, 25, 60, 40, 20, 40]],
        [SQUARE, [1, 1, 5, 5], []],
        {"size": [HEIGHT, WIDTH], "counts": mask_runs(rectangle().masks.full(0)).tolist()},  # type: ignore[union-attr]
    ],
)
def test_masks_in_every_form(segmentation: Any, tmp_path: Path) -> None:
    evaluator = DetectionEvaluator(CARD)
    dataset = evaluator.read(one_object(tmp_path, segmentation))
    metrics = evaluator.score(dataset, [rectangle()])
    assert metrics.masks is not None
    assert (metrics.ap, metrics.masks.ap) == (1, 1)


def test_what_is_no_mask_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluator = DetectionEvaluator(CARD)
    with caplog.at_level(logging.WARNING):
        dataset = evaluator.read(one_object(tmp_path, [[20, 10, 60, 40], [3, 3]]))
    assert "2 polygons have fewer than 3 points and are left out" in caplog.text
    metrics = evaluator.score(dataset, [rectangle()])
    assert metrics.masks is not None
    assert (metrics.ap, metrics.masks.ap) == (1, 0)  # missed, whatever is found
    other = {"id": 9, "image_id": 0, "category_id": 8, "bbox": [0, 0, 5, 5], "area": 25}
    with caplog.at_level(logging.WARNING):
        dataset = evaluator.read(one_object(tmp_path, [SQUARE], other))
    assert "1 of 2 annotations have no mask: AP of masks is left out" in caplog.text
    assert evaluator.score(dataset, [rectangle()]).masks is None
    caplog.clear()
    assert evaluator.score(evaluator.read(one_object(tmp_path, None)), [rectangle()]).masks is None
    assert not caplog.text  # a file of boxes


PIXELS = HEIGHT * WIDTH


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [WIDTH, HEIGHT], "counts": [PIXELS]}, r"size \[160, 200\] \(width and height are exchanged\), got"),
        ({"size": [40, 50], "counts": [2000]}, r"must be of its picture's size \[160, 200\], got \[40, 50\]"),
        ({"counts": [PIXELS]}, "must be of its picture's size"),
        *(
            ({"size": [HEIGHT, WIDTH], "counts": counts}, "must be run lengths of 32000 pixels, got")
            for counts in (
                [10, 20],
                [-5, PIXELS + 5],
                [0.5, PIXELS - 0.5],
                [],
                None,
                "",
                "oi",
                "\u00fc\u00fc",
                "\ud800",
                "oooooooooooooooooooo0",
                compressed_runs(np.array([PIXELS]))[:-1],
            )
        ),
        ([[1, 2, 3, 4, 5, 6, 7]], "segmentation must be polygons"),
        ([["a", 2, 3, 4, 5, 6]], "segmentation must be polygons"),
        ([[float("nan"), 2, 3, 4, 5, 6]], "segmentation must be polygons"),
        ("oi", "segmentation must be polygons"),
        ([[0, 0, 1e9, 0, 1e9, 1e9]], "segmentation reaches far beyond its picture"),
    ],
)
def test_broken_masks_are_refused_by_name(segmentation: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(EdgehrError, match=rf"truth\.json: annotations\[0\]: .*{message}"):
        DetectionEvaluator(CARD).read(one_object(tmp_path, segmentation))


def test_masks_do_not_matter_to_a_detector_of_boxes(tmp_path: Path) -> None:
    boxes = replace(CARD, spec=replace(CARD.spec_as(DetectionSpec), regions=MASK_RCNN.spec_as(DetectionSpec).regions))
    spec = boxes.spec_as(DetectionSpec)
    boxes = replace(boxes, spec=replace(spec, regions=replace(spec.regions, masks=False)))
    evaluator = DetectionEvaluator(boxes)
    dataset = evaluator.read(one_object(tmp_path, {"size": [1, 1], "counts": "?"}))
    assert evaluator.score(dataset, [replace(rectangle(), masks=None)]).ap == 1


def test_masks_of_counterparts_are_compared() -> None:
    one = rectangle()
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 10:40, 20:50] = True
    two = replace(one, masks=Masks.of(mask))
    matches = Matches.of([one], [two])
    assert matches.mask_ious.tolist() == [0.75]
    assert "IoU of masks" in [row[0] for row in matches.rows]
    assert matches.to_dict()["least_mask_iou"] == 0.75
