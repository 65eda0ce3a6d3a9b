"""The commands on a segmentation model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.cli.main import main
from tests.small_classifier import color_card, save_classifier
from tests.small_segmenter import save_segmenter


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, a picture whose left half is a person, and its label image."""
    save_segmenter(tmp_path / "segmenter.onnx")
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    image = np.random.default_rng(0).integers(0, 100, (96, 128, 3), np.uint8)
    image[:, :64] += 150
    truth = np.zeros((96, 128), np.uint8)
    truth[:, :64] = 1
    truth[:48, 96:] = 1  # which the model misses
    cv2.imwrite(str(tmp_path / "images" / "half.png"), image)
    cv2.imwrite(str(tmp_path / "labels" / "half.png"), truth)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_demo_colors_or_blurs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = cv2.imread(str(folder / "images" / "half.png"))
    drawn = {}
    for name, flags in (("colored", []), ("blurred", ["--blur"])):
        save = folder / f"{name}.png"
        command = ["demo", "--model", "segmenter.onnx", "--source", "images/half.png", "--save", str(save), "--json"]
        assert main([*command, *flags]) == 0
        said = json.loads(capsys.readouterr().out)
        (result,) = said["results"]
        assert result["classes"][0]["name"] == "person"
        assert result["classes"][0]["area"] == pytest.approx(0.5, abs=0.02)
        assert sum(result["classes"][0]["rle"]["counts"]) == 96 * 128
        assert (said["found"], said["frames_with"]) == ("classes", 1)
        drawn[name] = cv2.imread(said["saved"][0])
    middle = slice(30, 60)
    assert (drawn["colored"][middle, 80:] == image[middle, 80:]).all()
    assert np.abs(drawn["colored"][middle, 10:50].astype(int) - image[middle, 10:50]).mean() > 30
    assert np.abs(drawn["blurred"][middle, 10:50].astype(int) - image[middle, 10:50]).max() <= 1
    assert drawn["blurred"][middle, 90:].std() < image[middle, 90:].std() / 2


def test_eval_by_several_workers_says_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("images", "labels"):
        shutil.copy(folder / name / "half.png", folder / name / "again.png")
    said = []
    for jobs in ("1", "2"):
        assert main(["eval", "segmenter.onnx", "--annotations", "labels", "--images", "images", "--jobs", jobs]) == 0
        said.append(capsys.readouterr().out)
    assert " in 2 images\n" in said[0]
    assert said[1] == said[0]
    (folder / "images" / "again.png").write_bytes(b"no picture")
    assert main(["eval", "segmenter.onnx", "--annotations", "labels", "--images", "images", "--jobs", "2"]) == 1
    assert capsys.readouterr().err.startswith("edgehr eval: images/again.png: not an image")


def test_eval_prints_the_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "segmenter.onnx", "--annotations", "labels", "--images", "images"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "fit          stretch to the input's size" in said
    assert "CLASS       IoU\nbackground  75.0\nperson      80.0" in said
    assert main([*command, "--fit", "letterbox", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["miou"] == pytest.approx((0.75 + 0.8) / 2, abs=0.01)
    assert figures["fit"] == "letterbox, upper left"


def test_verify_compares_class_maps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", "segmenter.onnx", "segmenter.onnx", "--annotations", "labels", "--images", "images"]
    assert main([*command, "--min-agreement", "0.999"]) == 0
    said = capsys.readouterr().out
    assert "PIXELS OF ANOTHER CLASS" in said
    assert "same class  100.00 %" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--model", "segmenter.onnx", "--fit", "crop"], "fit must be one of slide, letterbox, stretch"),
        (["demo", "--model", "segmenter.onnx", "--detect-every", "3"], "Segmenter has no option detect_every"),
        (["eval", "segmenter.onnx", "--annotations", "absent", "--images", "images"], "no such folder of label images"),
    ],
)
def test_what_cannot_be_is_one_line(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) != 0
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_models_of_two_tasks_are_not_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_classifier(folder / "classifier.onnx", color_card(64))
    assert main(["verify", "segmenter.onnx", "classifier.onnx"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.endswith("is a model for segmentation, colors-64x64 for classification: they cannot be compared")
