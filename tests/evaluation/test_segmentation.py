"""Mean IoU and label images, against counts made plainly here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.label_images import label_files
from edgehr.evaluation.segmentation import SegmentationEvaluator
from edgehr.tasks.segmentation.segmentation import Segmentation
from edgehr.zoo import get_card
from edgehr.zoo.segmenters import class_set
from tests.tasks.segmentation.models import COLORS, NAMES, FunctionRuntime, small_card

SIZE = (32, 64)


def folders(
    tmp_path: Path, labels: dict[str, NDArray[Any]], size: tuple[int, int] = SIZE, ending: str = ""
) -> tuple[Path, Path]:
    """A folder of label images by name, and one of their images."""
    images, truth = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    truth.mkdir()
    for name, values in labels.items():
        cv2.imwrite(str(images / f"{name}.jpg"), np.zeros((*size, 3), np.uint8))
        cv2.imwrite(str(truth / f"{name}{ending}.png"), values)
    return truth, images


def evaluated(card: ModelCard, truth: Path, images: Path, found: NDArray[Any]) -> Any:
    evaluator = Evaluator.for_card(card)
    assert isinstance(evaluator, SegmentationEvaluator)
    dataset = evaluator.read(truth, images)
    result = Segmentation(found, card.spec.classes, card.spec.palette)
    return evaluator.score(dataset, [result] * len(dataset.images))


def plain_ious(truth: NDArray[Any], found: NDArray[Any], classes: int, ignored: int = 255) -> list[float]:
    """IoU of each class by sets of pixels."""
    ious = []
    for number in range(classes):
        one = {i for i, value in enumerate(truth.ravel()) if value == number}
        two = {
            i for i, (t, f) in enumerate(zip(truth.ravel(), found.ravel(), strict=True)) if f == number and t != ignored
        }
        ious.append(len(one & two) / len(one | two) if one | two else float("nan"))
    return ious


def test_figures_are_those_of_plain_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, 255], SIZE).astype(np.uint8)
    found = rng.choice([0, 1, 3], SIZE).astype(np.uint8)
    metrics = evaluated(small_card(4), *folders(tmp_path, {"a": truth, "b": truth}), found)
    expected = plain_ious(truth, found, 4)
    assert metrics.ious == pytest.approx(expected)
    assert metrics.headline == metrics.miou == pytest.approx(np.mean(expected))
    seen = truth != 255
    assert metrics.pixel_accuracy == pytest.approx((truth == found)[seen].mean())
    assert metrics.mean_accuracy == pytest.approx(np.mean([(found == k)[truth == k].mean() for k in range(3)]))
    assert metrics.counted == f"{2 * seen.sum()} pixels in 2 images"
    assert json.loads(json.dumps(metrics.to_dict(), allow_nan=False))["iou"]["person"] == pytest.approx(expected[1])


def test_a_class_that_is_nowhere_does_not_count(tmp_path: Path) -> None:
    metrics = evaluated(small_card(4), *folders(tmp_path, {"a": np.ones(SIZE, np.uint8)}), np.ones(SIZE, np.uint8))
    assert metrics.miou == 1
    assert metrics.to_dict()["iou"] == {"background": None, "person": 1, "tree": None, "sky": None}


def test_nothing_but_ignored_pixels_is_no_figure(tmp_path: Path) -> None:
    metrics = evaluated(small_card(), *folders(tmp_path, {"a": np.full(SIZE, 255, np.uint8)}), np.ones(SIZE, np.uint8))
    assert np.isnan([metrics.miou, metrics.pixel_accuracy, metrics.mean_accuracy]).all()
    assert metrics.to_dict()["miou"] is None


def test_runs_the_model(tmp_path: Path) -> None:
    card = small_card(output="labels", fit="stretch")
    truth, images = folders(tmp_path, {"a": np.ones(SIZE, np.uint8), "b": np.zeros(SIZE, np.uint8)})
    evaluator, runtime = (
        Evaluator.for_card(card),
        FunctionRuntime(card, lambda batch: np.ones((len(batch), *SIZE), int), int),
    )
    dataset = evaluator.read(truth, images)
    seen: list[int] = []
    metrics = evaluator.evaluate(runtime, dataset, progress=seen.append)
    assert metrics.figures["pixel accuracy"] == 0.5
    assert seen == [1, 1]
    assert evaluator.score(dataset, evaluator.predict(runtime, dataset.images)).to_dict() == metrics.to_dict()


def test_values_of_the_data_set_become_classes(tmp_path: Path) -> None:
    card = small_card(label_values=(1, 2, 3), ignored_values=(0, 255))  # as ADE20K has them
    truth = np.tile(np.array([0, 1, 2, 3], np.uint8), (32, 16))
    found = np.tile(np.array([2, 0, 1, 0], np.uint8), (32, 16))
    metrics = evaluated(card, *folders(tmp_path, {"a": truth}), found)
    assert metrics.pixels == truth.size * 3 // 4
    assert metrics.ious == (0.5, 1, 0)


@pytest.mark.parametrize("classes", [{"7": "person", "900": 2}, {"7": 1, "900": "tree"}])
def test_a_map_beside_the_label_images_goes_before_the_card(tmp_path: Path, classes: dict[str, Any]) -> None:
    truth = np.tile(np.array([7, 900, 9, 7], np.uint16), (32, 16))
    labels, images = folders(tmp_path, {"a": truth})
    (labels / "label_map.json").write_text(json.dumps({"classes": classes, "ignored": [9]}))
    metrics = evaluated(small_card(), labels, images, np.ones(SIZE, np.uint8))
    assert metrics.to_dict()["iou"] == {"background": None, "person": pytest.approx(2 / 3), "tree": 0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "must be {"),
        ('{"classes": {"1": "persom"}}', "no class 'persom'; near are person"),
        ('{"classes": {"x": 1}}', "invalid literal"),
        ('{"classes": {"1": 7}}', "numbers of 0 to 2, got 7"),
        ('{"classes": {"70000": 1}}', "0 to 65535, got '70000'"),
        ('{"classes": {}, "ignored": 3}', "not iterable"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(tmp_path: Path, content: str, message: str) -> None:
    labels, images = folders(tmp_path, {"a": np.zeros(SIZE, np.uint8)})
    (labels / "label_map.json").write_text(content)
    with pytest.raises(EdgehrError, match=rf"label_map\.json: .*{message}"):
        Evaluator.for_card(small_card()).read(labels, images)


def test_cityscapes_is_read_as_it_is_downloaded(tmp_path: Path) -> None:
    card = get_card("hrnetv2-w18-cityscapes-160k-512x1024")
    images, labels = tmp_path / "leftImg8bit" / "val" / "ulm", tmp_path / "gtFine" / "val" / "ulm"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    cv2.imwrite(str(images / "ulm_1_leftImg8bit.png"), np.zeros((*SIZE, 3), np.uint8))
    ids = np.tile(np.array([7, 24, 33, 3], np.uint8), (32, 16))  # road, person, bicycle, out of the region of interest
    cv2.imwrite(str(labels / "ulm_1_gtFine_labelIds.png"), ids)
    for name in ("color", "instanceIds"):
        cv2.imwrite(str(labels / f"ulm_1_gtFine_{name}.png"), np.full((*SIZE, 3), 77, np.uint8))
    found = np.tile(np.array([0, 11, 18, 5], np.uint8), (32, 16))
    roots = labels.parent, images.parent
    metrics = evaluated(card, *roots, found)
    assert (metrics.miou, metrics.pixels) == (1, ids.size * 3 // 4)
    train_ids = np.tile(np.array([1, 11, 18, 255], np.uint8), (32, 16))
    cv2.imwrite(str(labels / "ulm_1_gtFine_labelTrainIds.png"), train_ids)
    assert evaluated(card, *roots, found).pixel_accuracy == pytest.approx(2 / 3)


def palette_png(path: Path, indices: NDArray[np.uint8], colors: list[tuple[int, int, int]], bits: int) -> None:
    """Write a PNG with a palette, as VOC's label images are; OpenCV writes none."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows, columns = indices.shape
    digits = np.unpackbits(indices[..., None], axis=2)[..., 8 - bits :].reshape(rows, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in np.packbits(digits, axis=1))
    header = struct.pack(">IIBBBBB", columns, rows, bits, 3, 0, 0, 0)
    parts = chunk(b"PLTE", bytes(sum(colors, ()))), chunk(b"tRNS", b"\0"), chunk(b"IDAT", zlib.compress(lines))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(parts) + chunk(b"IEND", b""))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_pngs_with_a_palette_hold_numbers_of_classes(tmp_path: Path, bits: int) -> None:
    indices = (np.arange(32 * 64) % min(2**bits, 4)).reshape(SIZE).astype(np.uint8)
    labels, images = folders(tmp_path, {"a": indices})
    palette_png(labels / "a.png", indices, [(i, 255 - i, 7) for i in range(2**bits)], bits)
    assert evaluated(small_card(4), labels, images, indices).pixel_accuracy == 1


def test_color_images_are_read_by_the_palette(tmp_path: Path) -> None:
    card = small_card(4)
    card = replace(card, spec=replace(card.spec, palette=((255, 255, 255), *COLORS[1:])))
    numbers = np.tile(np.array([0, 1, 2, 3], np.uint8), (32, 16))
    colors = np.array(card.spec.palette, np.uint8)[numbers][..., ::-1].copy()
    colors[0] = 0  # no class
    metrics = evaluated(card, *folders(tmp_path, {"a": colors}), numbers)
    assert (metrics.pixel_accuracy, metrics.pixels) == (1, 31 * 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((31, 64), np.uint8), r"a\.png: is 64x31 pixels, its image 64x32"),
        (np.full(SIZE, 9, np.uint8), r"a\.png: holds values of no class of small-32x64 \(9; 100\.0 %"),
        (np.full((*SIZE, 3), (1, 2, 3), np.uint8), r"a\.png: is a color image with 1 colors .* as \(3, 2, 1\)"),
        (None, r"a\.png: not a label image that OpenCV reads"),
    ],
)
def test_label_images_that_do_not_fit_are_refused(tmp_path: Path, values: Any, message: str) -> None:
    labels, images = folders(tmp_path, {"a": np.zeros(SIZE, np.uint8) if values is None else values})
    if values is None:
        (labels / "a.png").write_bytes(b"no picture")
    with pytest.raises(EdgehrError, match=message):
        evaluated(small_card(), labels, images, np.zeros(SIZE, np.uint8))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    labels, images = folders(tmp_path, {"a": np.zeros(SIZE, np.uint8), "b": np.zeros(SIZE, np.uint8)})
    evaluator = Evaluator.for_card(small_card())
    (labels / "b.png").unlink()
    with pytest.raises(EdgehrError, match=r"has no label image for .*b\.jpg \(expected b\.png\)"):
        evaluator.read(labels, images)
    (labels / "a.png").unlink()
    with pytest.raises(EdgehrError, match="holds no label images"):
        evaluator.read(labels, images)
    with pytest.raises(EdgehrError, match="no such folder of label images"):
        evaluator.read(tmp_path / "absent.json", images)
    with pytest.raises(EdgehrError, match="no such folder of images"):
        evaluator.read(labels, tmp_path / "absent")
    with pytest.raises(EdgehrError, match="looks at whole images"):
        evaluator.read(labels, images, detections=images)


def test_the_agreement_of_two_models() -> None:
    evaluator = Evaluator.for_card(small_card())
    one = np.tile(np.array([0, 1], np.uint8), (32, 32))
    two = one.copy()
    two[:16] = 1 - two[:16]
    first, second = (Segmentation(each, NAMES[:3], COLORS[:3]) for each in (one, two))
    images: Any = [None, None]
    found = evaluator.agreement(images, [first, first], [first, second])
    assert found.similarity == pytest.approx((1 + 1 / 3) / 2)
    assert evaluator.similarities(images[0], first, second) == pytest.approx([1 / 3])
    assert found.metric is not None
    assert found.metric.figures["pixel accuracy"] == 0.75
    assert found.rows[1] == ["same class", "75.00 %", "of all pixels"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["same"] == 0.75
    assert evaluator.agreement(images, [first, first], [first, second], with_metric=False).metric is None


def test_other_classes_cannot_be_compared() -> None:
    with pytest.raises(EdgehrError, match="know other classes"):
        Evaluator.for_card(small_card(3)).check_comparable(small_card(4))


def test_draws_the_outlines_of_both(tmp_path: Path) -> None:
    _, images = folders(tmp_path, {"a": np.zeros(SIZE, np.uint8)})
    evaluator = Evaluator.for_card(small_card())
    (sample,) = evaluator.read(tmp_path / "labels", images).images
    mask = np.zeros(SIZE, np.uint8)
    mask[8:24, 16:48] = 1
    found = Segmentation(mask, NAMES[:3], COLORS[:3])
    drawn = evaluator.draw_pair(sample, 0, found, found, ("#ff0000", "#0000ff"))
    assert drawn is not None
    assert drawn[8, 30, 0] > 150 > 100 > drawn[8, 30, 2]  # the second, on top
    assert drawn[5:8, 30, 2].max() > 200  # the first, wider
    assert not drawn[16, 32].any()


def test_every_data_set_has_its_names(tmp_path: Path) -> None:
    assert len(class_set("isaid")["classes"]) == 16
    with pytest.raises(EdgehrError, match="holds no label images"):
        label_files([], tmp_path, tmp_path)
