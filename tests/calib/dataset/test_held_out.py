"""What is evaluated is not calibrated on."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.dataset.held_out import refuse_held_out
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.overlap import refuse_calibrated
from edgehr.runtimes import Artifact
from tests.calib.pictures import MIDDLE, folder, picture, video


@pytest.fixture
def chosen(tmp_path: Path) -> CalibrationSet:
    return CalibrationSet.of(folder(tmp_path / "calibration", 40))


def test_other_images_pass(chosen: CalibrationSet, tmp_path: Path) -> None:
    refuse_held_out(chosen, folder(tmp_path / "evaluation", 40, first=100))


def test_the_same_file_is_refused_under_another_name(chosen: CalibrationSet, tmp_path: Path) -> None:
    held_out = folder(tmp_path / "evaluation", 40, first=100)
    shutil.copy(chosen.crops[5].image, held_out / "zz.jpg")
    with pytest.raises(EdgehrError, match=r"1 of the 41 images of .* zz\.jpg is the first") as caught:
        refuse_held_out(chosen, held_out)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("suffix", "scale", "options"),
    [(".jpg", 1.0, [cv2.IMWRITE_JPEG_QUALITY, 30]), (".png", 0.5, []), (".webp", 2.0, [cv2.IMWRITE_WEBP_QUALITY, 50])],
)
def test_a_copy_in_another_form_is_refused(
    suffix: str, scale: float, options: list[int], chosen: CalibrationSet, tmp_path: Path
) -> None:
    held_out = folder(tmp_path / "evaluation", 3, first=100)
    resized = cv2.resize(cv2.imread(str(chosen.crops[0].image)), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(held_out / f"copy{suffix}"), resized, options)
    with pytest.raises(EdgehrError, match="1 of the 4 images"):
        refuse_held_out(chosen, held_out)


def test_a_file_without_contrast_is_told_by_its_hash(tmp_path: Path) -> None:
    """A black picture has no fingerprint: it would be that of every other one."""
    calibration, held_out = folder(tmp_path / "calibration", 40), folder(tmp_path / "evaluation", 3, first=100)
    black = picture(0) // 16
    cv2.imwrite(str(calibration / "black.png"), black)
    cv2.imwrite(str(held_out / "another.png"), black // 2)
    chosen = CalibrationSet.of(calibration)
    assert len(chosen.fingerprints) == len(chosen.crops) - 1
    refuse_held_out(chosen, held_out)
    cv2.imwrite(str(held_out / "same.png"), black)
    with pytest.raises(EdgehrError, match=r"same\.png is the first"):
        refuse_held_out(chosen, held_out)


def test_a_frame_of_the_calibration_video_is_refused(tmp_path: Path) -> None:
    chosen = CalibrationSet.of(video(tmp_path / "a.avi", [picture(seed) for seed in range(40)]), open_finder=MIDDLE)
    held_out = folder(tmp_path / "evaluation", 1, first=20)
    with pytest.raises(EdgehrError, match="1 of the 1 images"):
        refuse_held_out(chosen, held_out)


def test_the_model_remembers_what_it_was_calibrated_on(
    chosen: CalibrationSet, tmp_path: Path, sample_card: ModelCard
) -> None:
    plain = Artifact(sample_card, "int8", "ab" * 32)
    artifact = Artifact.from_json(chosen.recorded(plain).to_json())
    assert artifact.calibration_sha256 == chosen.sha256
    others = sorted(folder(tmp_path / "evaluation", 4, first=100).iterdir())
    refuse_calibrated([plain, artifact], others)
    refuse_calibrated([plain], [chosen.crops[0].image])
    refuse_calibrated([None], [chosen.crops[0].image])
    with pytest.raises(EdgehrError, match=r"calibrated on this image .1 of the 5 images given.") as caught:
        refuse_calibrated([plain, artifact, None], [*others, chosen.crops[0].image])
    assert str(caught.value).startswith(str(chosen.crops[0].image))


def test_the_shared_sets_have_no_image_in_common(shared: Path) -> None:
    train, val = (shared / "data" / f"coco-{name}2017-people" / "person_keypoints.json" for name in ("train", "val"))
    chosen = CalibrationSet.of(train)
    refuse_held_out(chosen, val)
    with pytest.raises(EdgehrError, match="100 of the 100 images"):
        refuse_held_out(chosen, train)


def test_what_is_no_picture_hides_nothing(chosen: CalibrationSet, tmp_path: Path) -> None:
    held_out = folder(tmp_path / "evaluation", 40, first=100)
    shutil.copy(chosen.crops[5].image, held_out / "zz.jpg")
    (held_out / "._zz.jpg").write_bytes(b"\0\5\x16\7 of macOS")
    (held_out / "aa.jpg").write_bytes(b"")
    with pytest.raises(EdgehrError, match=r"1 of the 41 images of .* zz\.jpg is the first"):
        refuse_held_out(chosen, held_out)
