"""Calibration crops that several workers look for: those that one process finds, to the bit."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgehr.assets import packaged_model
from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.dataset.finder import Finder, open_detector
from edgehr.calib.dataset.looking import Picture, look_at_pictures
from edgehr.cli.main import main
from edgehr.errors import EdgehrError
from edgehr.spread import Crew, OwnProcess, open_crew
from edgehr.spread.models import SentModel
from edgehr.zoo import DEFAULT_MODEL
from tests.calib.pictures import MIDDLE, folder

DETECTOR = packaged_model("rtmdet-nano-person-320x320", ".tflite")


def by_detector(source: Path, crew: Crew) -> CalibrationSet:
    """Crops of all people that the packaged detector finds in a folder."""
    model = SentModel.of(str(DETECTOR), crew)
    return CalibrationSet.of(
        source, max_crops=40, open_finder=partial(open_detector, model, threads=crew.threads), crew=crew
    )


@pytest.mark.slow
def test_processes_find_what_one_finds(shared: Path) -> None:
    data = shared / "data" / "coco-val2017-people"
    with open_crew() as alone, open_crew(2) as both:
        found, again = by_detector(data / "images", alone), by_detector(data / "images", both)
        assert found.manifest_file() == again.manifest_file()
        assert found.found_by.startswith("detector rtmdet-nano-person-320x320, weights sha256 ")
        assert found.fingerprints == again.fingerprints
        annotated = data / "person_keypoints.json"
        assert CalibrationSet.of(annotated, crew=both).sha256 == CalibrationSet.of(annotated).sha256


def test_broken_pictures_are_said_in_their_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures = folder(tmp_path / "pictures", 40)
    for number in (3, 21, 39):
        (pictures / f"{number:05d}.jpg").write_bytes(b"broken")
    with open_crew(2) as crew:
        chosen = CalibrationSet.of(pictures, crew=crew)
        assert len(chosen.crops) == 37
        assert [Path(line.partition(":")[0]).stem for line in caplog.messages] == ["00003", "00021", "00039"]
        for path in pictures.iterdir():
            path.write_bytes(b"broken")
        with pytest.raises(EdgehrError, match=r"none of these 40 images can be read; the last: .*00039\.jpg"):
            CalibrationSet.of(pictures, open_finder=MIDDLE, crew=crew)


def test_a_node_that_does_not_see_the_pictures_leaves_them_to_others(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "pictures", 33)
    crew = OwnProcess()
    crew.elsewhere = True
    assert len(CalibrationSet.of(pictures, crew=crew).crops) == 33
    listed = [Picture(path, None) for path in (*pictures.iterdir(), tmp_path / "elsewhere.jpg")]
    with pytest.raises(EdgehrError, match=r"elsewhere\.jpg: is not there on .*: let every node see its folder"):
        list(look_at_pictures(crew, listed, MIDDLE))


def test_a_detector_that_fails_is_no_picture_that_cannot_be_read(tmp_path: Path) -> None:
    def fail(image: Any) -> Any:
        raise EdgehrError("the backend failed")

    with pytest.raises(EdgehrError, match="the backend failed"):
        CalibrationSet.of(folder(tmp_path / "p", 33), open_finder=lambda: nullcontext(Finder(fail, "a detector")))


def test_a_detector_that_does_not_open_is_one_line(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "pictures", 32)
    with open_crew(2) as crew, pytest.raises(EdgehrError, match=r"absent\.tflite: no such model file"):
        CalibrationSet.of(pictures, open_finder=partial(open_detector, SentModel("absent.tflite", {})), crew=crew)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--jobs", "2"], "--jobs goes with --calib"),
        (["--ray", "auto"], "--ray goes with --calib"),
        (["--calib", "clip.mp4", "--jobs", "2"], "--jobs and --ray go with a folder or an annotation file"),
    ],
)
def test_options_that_would_do_nothing(
    given: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    assert main(["convert", DEFAULT_MODEL, "--to", "tflite", "--precision", "int8", *given]) == 1
    assert said in capsys.readouterr().err
