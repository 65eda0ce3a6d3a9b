"""Accuracy and agreement of classifiers, and the lists of labels that people have."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.cli.main import main
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.classes import ClassEvaluator
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.runtimes import load
from edgehr.tasks.classification.classification import Classification
from edgehr.zoo import DEFAULT_MODEL, get_card
from tests.small_classifier import COLORS, SYNSETS, color_card, plain, save_classifier

IMAGENET = get_card("hrnet-w18-imagenet-224x224")
CARD = color_card()


def among(*rows: list[float]) -> list[Classification]:
    names = tuple(str(number) for number in range(len(rows[0])))
    return [Classification(np.float32(row), names) for row in rows]


def picture(path: Path, color: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), plain(color))
    return path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Three pictures in one folder, of one color each, in another order than the classes."""
    for number, color in enumerate(("blue", "red", "forest green")):
        picture(tmp_path / "images" / f"val_{number}.JPEG", color)
    return tmp_path / "images"


def labels(folder: Path, text: str, name: str = "labels.txt", encoding: str = "utf-8") -> Path:
    path = folder.parent / name
    path.write_text(text, encoding=encoding)
    return path


def known(classes: Any) -> Dataset:
    """Images of these classes."""
    images = [ImageSample.with_boxes(number, Path(f"{number}.png"), []) for number in range(len(classes))]
    return Dataset(images, classes, "made")


def test_top_1_and_top_5_are_what_a_count_gives() -> None:
    """Against a plain count, with equal probabilities as low precision gives them."""
    rng = np.random.default_rng(0)
    scores = np.round(rng.uniform(0, 1, (200, 12)), 1)
    truth = rng.integers(0, 12, 200)
    first = fifth = 0
    for row, number in zip(scores.tolist(), truth.tolist(), strict=True):
        order = sorted(range(12), key=lambda place: (-row[place], place))
        first += order[0] == number
        fifth += number in order[:5]
    metrics = ClassEvaluator(CARD).score(known(truth), among(*scores.tolist()))
    assert (metrics.top1, metrics.top5) == (first / 200, fifth / 200)
    assert metrics.figures == {"top-1": metrics.headline, "top-5": fifth / 200}
    assert metrics.counted == "200 images of 12 classes"
    flat_output = ClassEvaluator(CARD).score(known(np.array([3])), among([0.25] * 4))
    assert flat_output.top1 == 0  # a model that cannot tell classes apart is not right
    assert flat_output.to_dict() == {"top1": 0, "top5": None, "images": 1, "classes": 1}


def test_agreement_is_of_the_class_and_its_probability() -> None:
    evaluator = ClassEvaluator(CARD)
    first = among([0.7, 0.1, 0, 0.1, 0.05, 0.05], [0.2, 0.5, 0.3, 0, 0, 0])
    second = among([0.6, 0.2, 0, 0.1, 0.05, 0.05], [0.2, 0.3, 0.5, 0, 0, 0])
    found = evaluator.agreement([], first, second)
    assert (found.similarity, found.images) == (0.5, 2)
    assert found.probability_difference == pytest.approx((0.1 + 0.2) / 2)
    assert found.metric is not None
    assert (found.metric.top1, found.metric.top5) == (0.5, 1)
    assert [row[0] for row in found.rows] == ["same class", "probability", "in top-5"]
    assert evaluator.similarities(None, first[1], second[1]).tolist() == [0]  # type: ignore[arg-type]
    alone = evaluator.agreement([], first, second, with_metric=False)
    assert alone.metric is None
    assert alone.to_dict() == {
        "top1": 0.5,
        "probability_difference": pytest.approx(0.15),
        "images": 2,
        "accuracy": None,
    }
    nothing = evaluator.agreement([], [], [])
    assert math.isnan(nothing.similarity)
    assert nothing.to_dict()["top1"] is None


@pytest.mark.parametrize("names", [SYNSETS, COLORS, ("red", "forest_green", "blue")])
def test_class_folders_are_read_by_synset_or_name(names: tuple[str, ...], tmp_path: Path) -> None:
    for name, color in zip(names, COLORS, strict=True):
        picture(tmp_path / "val" / name / "a.JPEG", color)
    picture(tmp_path / "val" / names[2] / "b.png", "red")
    (tmp_path / "val" / ".cache").mkdir()
    (tmp_path / "val" / "readme.txt").write_text("not a picture")
    dataset = Evaluator.for_card(CARD).read(tmp_path / "val")
    assert sorted(zip((image.path.name for image in dataset.images), dataset.truth, strict=True)) == [
        ("a.JPEG", 0),
        ("a.JPEG", 1),
        ("a.JPEG", 2),
        ("b.png", 2),
    ]
    assert Evaluator.for_card(CARD).read(tmp_path / "val", tmp_path / "val").truth.tolist() == dataset.truth.tolist()


def test_some_images_are_taken_from_all_over_the_set(tmp_path: Path) -> None:
    for name in COLORS:
        for number in range(4):
            picture(tmp_path / name / f"{number}.png")
    read = Evaluator.for_card(CARD).read(tmp_path, max_samples=3)
    assert sorted(read.truth.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "n00000003\nn00000001\n\nn00000002\n",
        "blue\nred\nforest green",
        "2\n0\n1\n",
        "val_2.JPEG 1\nval_0.JPEG 2\nval_1.JPEG 0\n",
        "val_2.JPEG,forest green\r\nval_0.JPEG,blue\r\nval_1.JPEG,red\r\n",
        "val_2.JPEG\tn00000002\nval_0.JPEG\tn00000003\nval_1.JPEG\tn00000001\n",
    ],
)
def test_labels_as_people_write_them(text: str, flat: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        dataset = Evaluator.for_card(CARD).read(labels(flat, text, encoding=encoding))
        found = dict(zip((image.path.name for image in dataset.images), dataset.truth.tolist(), strict=True))
        assert found == {"val_0.JPEG": 2, "val_1.JPEG": 0, "val_2.JPEG": 1}


def test_imagenet_s_layouts_are_read(tmp_path: Path) -> None:
    """The development kit numbers classes in an order of its own: its 1 is the kit fox, the networks' 278."""
    folder = tmp_path / "ILSVRC2012_img_val"
    for number in range(1, 4):
        picture(folder / f"ILSVRC2012_val_{number:08d}.JPEG")
    evaluator = Evaluator.for_card(IMAGENET)
    kit_fox, crane, dumbbell = (IMAGENET.spec.class_id(name) for name in ("kit fox", "crane bird", "dumbbell"))
    for name, text, expected in (
        ("ILSVRC2012_validation_ground_truth.txt", "1\n429\n1000\n", [kit_fox, crane, dumbbell]),
        ("synsets.txt", "n02119789\nn02012849\nn03255030\n", [kit_fox, crane, dumbbell]),
        ("indices.txt", "0\n278\n999\n", [0, 278, 999]),
        ("val.txt", "".join(f"ILSVRC2012_val_0000000{n}.JPEG {10 * n}\n" for n in (1, 2, 3)), [10, 20, 30]),
        (
            "LOC_val_solution.csv",
            "ImageId,PredictionString\nILSVRC2012_val_00000002,n02119789 85 1 499 272 \n"
            "ILSVRC2012_val_00000001,n03255030 1 2 3 4 n03255030 5 6 7 8 \n",
            [kit_fox, dumbbell],
        ),
    ):
        (tmp_path / name).write_text(text)
        assert evaluator.read(tmp_path / name, folder).truth.tolist() == expected, name
    assert kit_fox == 278
    (tmp_path / "unclear.txt").write_text("5\n429\n7\n")
    with pytest.raises(EdgehrError, match=r"unclear\.txt: numbers without 0 and without 1000 may count from 0 or"):
        evaluator.read(tmp_path / "unclear.txt", folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("red\nblue\n", r"labels\.txt: has 2 labels, but .*images holds 3 images"),
        ("red\nblue\npink\n", r"line 3: 'pink' is no class of colors-32x32: a label is a WordNet id \(n00000001\) or"),
        ("1\n2\n3\n", r"line 3: label 3 is beyond the 3 classes .*0 to 2: do they count from 1\? Take 1 off"),
        ("0\n1\n7\n", r"line 3: label 7 is beyond the 3 classes of colors-32x32, which count from 0 to 2$"),
        ("9" * 300 + ".JPEG 0\n", r"999\.JPEG: labels\.txt names this image in line 1, but it is not there"),
        ("val_0.JPEG 1\nval_9.JPEG 0\n", r"val_9\.JPEG: labels\.txt names this image in line 2, but it is not there"),
        ("val_0.JPEG 1\n2\n", r"line 2: some lines name an image before its label, others do not: '2'"),
        ("\n\n", "holds no labels"),
        ('{"val_0.JPEG": 1}', "is JSON; labels come one a line"),
    ],
)
def test_wrong_lists_of_labels_are_one_line(text: str, message: str, flat: Path) -> None:
    path = labels(flat, text)
    with pytest.raises(EdgehrError, match=message) as raised:
        Evaluator.for_card(CARD).read(path)
    assert "\n" not in str(raised.value)


def test_wrong_folders_are_one_line(tmp_path: Path, flat: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluator = Evaluator.for_card(CARD)
    with pytest.raises(EdgehrError, match=r"images: holds no class folders; .* give a file of labels"):
        evaluator.read(flat)
    picture(tmp_path / "val" / "red" / "a.png")
    (tmp_path / "val" / "pink").mkdir()
    with pytest.raises(EdgehrError, match=r"val: 1 of 2 folders are no class of colors-32x32, 'pink' for one"):
        evaluator.read(tmp_path / "val")
    (tmp_path / "val" / "pink").rename(tmp_path / "val" / "blue")
    assert evaluator.read(tmp_path / "val").truth.tolist() == [0]
    assert re.search(r"blue: holds no images .*; the class is left out", caplog.text)
    (tmp_path / "val" / "red" / "a.png").unlink()
    with pytest.raises(EdgehrError, match="its 2 class folders hold no images"):
        evaluator.read(tmp_path / "val")
    with pytest.raises(EdgehrError, match=r"nowhere: no such file of labels or folder of class folders"):
        evaluator.read(tmp_path / "nowhere")
    with pytest.raises(EdgehrError, match=r"class folders hold their images themselves: leave .*images out"):
        evaluator.read(tmp_path / "val", flat)
    (tmp_path / "bytes.txt").write_bytes(b"\x89PNG\xff\x00")
    with pytest.raises(EdgehrError, match="not a text file of labels"):
        evaluator.read(tmp_path / "bytes.txt", flat)
    with pytest.raises(EdgehrError, match="leave detections out"):
        evaluator.read(tmp_path / "val", detections=tmp_path)


def test_models_with_other_classes_are_not_compared() -> None:
    evaluator = ClassEvaluator(CARD)
    with pytest.raises(EdgehrError, match="know other classes"):
        evaluator.check_comparable(color_card(classes=("a", "b", "c")))
    with pytest.raises(EdgehrError, match=r"for classification, .* for pose"):
        evaluator.check_comparable(get_card(DEFAULT_MODEL))
    evaluator.check_comparable(color_card(64))


@pytest.mark.parametrize("batch", ["N", 2])
def test_a_model_is_evaluated_as_it_predicts(batch: int | str, flat: Path, tmp_path: Path) -> None:
    evaluator = ClassEvaluator(CARD)
    dataset = evaluator.read(labels(flat, "blue\nred\nred\n"))
    done = []
    with load(save_classifier(tmp_path / "model.onnx", CARD, batch=batch)) as runtime:
        metrics = evaluator.evaluate(runtime, dataset, flip=True, progress=done.append)
    assert (metrics.top1, metrics.images, sum(done)) == (pytest.approx(2 / 3), 3, 3)
    assert math.isnan(metrics.top5)  # of three classes


def test_the_command_line_takes_folders_and_labels(
    flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(save_classifier(tmp_path / "model.onnx", CARD))
    assert main(["eval", model, "--annotations", str(labels(flat, "blue\nred\nred\n")), "--json"]) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (figures["top1"], figures["top5"], figures["images"]) == (pytest.approx(2 / 3), None, 3)
    assert figures["resize"] == "shorter side to 36, bilinear, filtered"
    assert main(["verify", model, model, "--annotations", str(labels(flat, "0\n0\n0")), "--min-agreement", "1"]) == 0
    said = capsys.readouterr().out
    assert "same class   1.0000" in said
    assert "100.0% same class" in said
    (flat / "val_1.JPEG").write_bytes(b"no picture")
    assert main(["eval", model, "--annotations", str(labels(flat, "0\n0\n0")), "--images", str(flat)]) == 1
    assert re.fullmatch(r".*val_1\.JPEG: not an image that OpenCV reads\n", capsys.readouterr().err)
