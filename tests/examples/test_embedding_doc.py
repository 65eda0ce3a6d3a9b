"""The Python on pages for users runs as it stands, beside files of the names that it uses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgehr.assets import group_picture, photographs
from edgehr.zoo import get_card
from edgehr.zoo.classifiers import imagenet_classes
from tests.conftest import ROOT
from tests.live.predictors.mean_face import mean_face, save_mean_face
from tests.small_classifier import color_card, save_classifier
from tests.small_segmenter import save_segmenter

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(page: Path) -> dict[str, Any]:
    """Execute the blocks one after the other, as a reader would paste them; returns their names."""
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in FENCE.finditer(text):
        above = "\n" * text[: block.start(1)].count("\n")  # so that a traceback gives the line on the page
        exec(compile(above + block[1], str(page), "exec"), namespace)  # noqa: S102 - our own page
    return namespace


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sample_ir: Path,
    detector_ir: Path,
    yunet_ir: Path,
    shared: Path,
) -> Path:
    """A folder with the files that the pages speak of, which is the present one."""
    (tmp_path / "artifacts").mkdir()
    for name, model in (
        ("model", sample_ir),
        ("artifacts/litehrnet-18-wider-naive-coco-256x192-fp32", sample_ir),
        ("detector", detector_ir),
        ("faces", yunet_ir),
    ):
        for suffix in (".xml", ".bin"):
            shutil.copy(model.with_suffix(suffix), tmp_path / f"{name}{suffix}")
    names, synsets = imagenet_classes()
    card = color_card(224, classes=names, synsets=synsets)
    save_classifier(tmp_path / "classifier.onnx", card, outputs=len(names))
    save_segmenter(tmp_path / "segmenter.onnx", (192, 192))
    wflw = get_card("hrnetv2-w18-wflw-256x256")
    save_mean_face(tmp_path / "landmarks.onnx", wflw, mean_face(shared, "wflw", wflw))
    portrait = next(path for path in photographs() if path.stem == "astronaut")
    shutil.copy(portrait, tmp_path / "person.jpg")
    shutil.copy(shared / "data" / "video" / "people.mp4", tmp_path / "video.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_page_on_embedding_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page(ROOT / "docs" / "embedding.md")
    said = capsys.readouterr().out
    assert "(1, 17, 2) (1, 17)" in said
    assert "left wrist at 4" in said  # the portrait's hand is at the right edge, x about 457
    assert "1 at the door" in said
    assert len(names["sure"]) == 1
    assert (folder / "drawn.jpg").is_file()
    assert re.search(r"^ArtifactError: missing\.xml: ", said, re.MULTILINE)
    assert re.search(r"^TensorError: an image must be ", said, re.MULTILINE)
    assert names["poses"].keypoints.shape == (2, 17, 2)


@pytest.mark.slow
def test_the_page_on_streams_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page(ROOT / "docs" / "streams.md")
    said = capsys.readouterr().out
    assert re.findall(r"^(\d) \[1 ?.*\] \(540, 960, 3\)$", said, re.MULTILINE) == list("01234")
    assert names["number"] == 5
    assert re.search(r"^frame \d: \d people, \d+ ms after capture$", said, re.MULTILINE)
    assert {"capture", "detect", "crop", "pose", "decode", "track"} <= set(names["times"].summary())


@pytest.mark.slow
def test_the_page_on_other_tasks_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page(ROOT / "docs" / "tasks.md")
    said = capsys.readouterr().out
    assert re.search(r"^Classification\((tench|goldfish|great white shark) 0\.\d{3}, ", said, re.MULTILINE)
    assert len(names["second"]) == 5
    assert re.search(r"^\('person',\) 0\.\d\d$", said, re.MULTILINE)
    assert names["mask"].shape == names["likely"].shape == names["image"].shape[:2]
    assert (names["drawn"] != names["blurred"]).any()
    assert re.search(r"^1 face with 98 landmarks, nose at \[2[12]\d\. 1[23]\d\.\]$", said, re.MULTILINE)
    assert "(1, 98, 2)\n" in said
    assert "(1, 4) (1, 5, 2) [0.9" in said


@pytest.mark.slow
def test_the_page_on_results_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("pandas", "supervision"):
        pytest.importorskip(package, reason=f"needs {package}, which the extra `dev` brings")
    names = run_page(ROOT / "docs" / "results.md")
    said = capsys.readouterr().out
    assert re.search(r"^Poses\(1 person, 17 keypoints, best score 0\.\d\d\)$", said, re.MULTILINE)
    assert re.search(r"^StreamPoses\(\d people, .*, best score 0\.\d\d, frame 2, 0\.400 s\)$", said, re.MULTILINE)
    assert "['frame', 'time_s', 'person', 'id', 'keypoint', 'x', 'y', 'score']" in said
    assert len(names["wrists"]) > 0
    assert json.loads((folder / "results.json").read_text())[0]["image_id"] == 42
    assert (names["drawn"] != names["image"]).any()
    assert names["detections"]["class_name"].tolist() == ["person"]


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(group_picture(), tmp_path / "people.jpg")
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / "README.md")
    said = capsys.readouterr().out
    assert re.fullmatch(r"Poses\(3 people, 17 keypoints, best score 0\.\d\d\)\n", said)
