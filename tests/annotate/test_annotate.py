"""`edgehr annotate`: archives become tables and COCO files, in pieces that add up to the whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from faster_coco_eval import COCO

from edgehr.annotate import pieces
from edgehr.annotate.pieces import Archive, Pictures, Range, badly_sought
from edgehr.assets import group_picture, packaged_model, photographs
from edgehr.cli.main import main
from edgehr.errors import EdgehrError
from edgehr.live.sources import Frame, open_source
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL
from tests.small_classifier import color_card, save_classifier
from tests.small_segmenter import save_segmenter
from tests.spread.works import wait_for

FRAMES = 40


def save_video(path: Path, code: str = "mp4v") -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (160, 120))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {code}")
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (120, 320, 3), np.uint8), (0, 0), 3)
    for number in range(FRAMES):
        writer.write(np.ascontiguousarray(texture[:, 3 * number : 3 * number + 160]))
    writer.release()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures and a video in folders, in pieces of eight, and a small segmenter."""
    monkeypatch.setattr(pieces, "PICTURES", 8)
    monkeypatch.setattr(pieces, "FRAMES", 8)
    monkeypatch.chdir(tmp_path)
    save_segmenter(tmp_path / "segmenter.onnx")
    folder = tmp_path / "archive"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    save_video(folder / "film.mp4")
    draw = np.random.default_rng(0)
    for number in range(12):
        image = draw.integers(0, 100, (96, 128, 3), np.uint8)
        image[:, : 8 * number] += 150
        cv2.imwrite(str(folder / "more" / f"{number:02d}.png"), image)
    shutil.copy(folder / "more" / "00.png", folder / ".hidden")
    return folder


def annotate(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> tuple[Any, str]:
    assert main(["annotate", "--model", "segmenter.onnx", "--json", *map(str, arguments)]) == status
    shown = capsys.readouterr()
    return json.loads(shown.out) if shown.out else None, shown.err.strip()


def test_a_table_has_every_picture_and_frame(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told, _ = annotate(capsys, archive, "--out", "out.parquet")
    assert (told["pictures"], told["pieces"], told["known"], told["problems"]) == (52, 7, 0, {})
    table = pd.read_parquet("out.parquet")
    names = [f"film.mp4-{number:06d}.jpg" for number in range(FRAMES)]
    assert list(table.file_name.unique()) == [*names, *(f"more/{number:02d}.png" for number in range(12))]
    film = table[table.video == "film.mp4"].drop_duplicates("file_name")
    assert film.frame.tolist() == list(range(FRAMES))
    assert film.time_s.tolist() == pytest.approx([number / 25 for number in range(FRAMES)])
    assert table[table.file_name == "more/00.png"].name.isna().all()  # nothing is found in it
    half = table[table.file_name == "more/08.png"]
    assert half.name.tolist() == ["person"]
    assert half.area.tolist() == pytest.approx([0.5], abs=0.02)
    assert not list(archive.parent.glob(".*"))


def test_coco_of_masks_and_the_same_bytes_by_several_workers(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out, jobs in (("one.json", 1), ("two.json", 2)):
        annotate(capsys, archive, "--out", out, "--jobs", jobs)
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()
    coco = COCO("one.json")
    assert len(coco.imgs) == 52
    assert [category["name"] for category in coco.cats.values()] == ["person"]
    (image,) = (each for each in coco.imgs.values() if each["file_name"] == "more/08.png")
    (found,) = coco.loadAnns(coco.getAnnIds(image["id"]))
    mask = coco.annToMask(found)
    assert mask.shape == (image["height"], image["width"]) == (96, 128)
    assert mask.sum() == found["area"]
    assert mask[:, :60].all()


@pytest.mark.slow
def test_coco_of_poses_is_what_the_demo_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in (group_picture(), photographs()[0]):
        shutil.copy(path, folder)
    models = ("--model", str(packaged_model(DEFAULT_MODEL)), "--detector", str(packaged_model(DEFAULT_DETECTOR)))
    assert main(["annotate", str(folder), *models, "--out", str(tmp_path / "poses.json")]) == 0
    assert main(["demo", "--source", str(folder), *models, "--json", "--save", str(tmp_path / "drawn")]) == 0
    out = capsys.readouterr().out
    demo = {each["frame"]: each["people"] for each in json.loads(out[out.index("{") :])["results"]}
    coco = COCO(str(tmp_path / "poses.json"))
    (category,) = coco.cats.values()
    assert (category["name"], category["keypoints"][:2]) == ("person", ["nose", "left_eye"])
    for image in coco.imgs.values():
        people = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert len(people) == len(demo[image["file_name"]])
        for person, expected in zip(people, demo[image["file_name"]], strict=True):
            labeled = np.array(person["keypoints"]).reshape(-1, 3)
            points, seen = np.array(expected["keypoints"]), labeled[:, 2] == 2
            assert seen.tolist() == (points[:, 2] > 0.2).tolist()
            assert labeled[seen, :2] == pytest.approx(points[seen, :2], abs=0.006)
            assert person["num_keypoints"] == seen.sum() == np.count_nonzero(labeled[:, 2])
            x, y, width, height = person["bbox"]
            assert [x, y, x + width, y + height] == pytest.approx(expected["box"], abs=0.01)
    assert len(coco.anns) >= 4


def test_a_killed_run_goes_on_and_writes_the_same(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotate(capsys, archive, "--out", "whole.json")
    program = (
        "import sys, time; from edgehr.annotate import pieces, run; pieces.PICTURES = pieces.FRAMES = 8\n"
        "keep = run._Run._keep; run._Run._keep = lambda *given: (keep(*given), time.sleep(0.3))\n"
        "from edgehr.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["annotate", "--model", "segmenter.onnx", str(archive), "--out", "killed.json"]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    kept = archive.parent / ".killed.json.pieces"
    wait_for(lambda: len([*kept.glob("0*.json")]) >= 2)
    _, said = annotate(capsys, archive, "--out", "killed.json", status=1)
    assert "another process of edgehr is at work there" in said
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("killed.json").exists()
    told, _ = annotate(capsys, archive, "--out", "killed.json")
    assert 2 <= told["known"] < told["pieces"]
    assert Path("killed.json").read_bytes() == Path("whole.json").read_bytes()
    assert not kept.exists()


def test_pieces_of_another_run_are_not_mixed_in(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = archive.parent / ".out.json.pieces"
    kept.mkdir()
    (kept / "plan.json").write_text('{"schema": 1, "sha256": "another"}')
    (kept / "000000.json").write_text("[]")
    _, said = annotate(capsys, archive, "--out", "out.json", status=1)
    assert "holds pieces of another run" in said
    assert "--fresh begins anew" in said
    told, _ = annotate(capsys, archive, "--out", "out.json", "--fresh")
    assert (told["known"], told["pictures"]) == (0, 52)


def test_what_cannot_be_read_is_a_line_each_and_the_rest_is_written(
    archive: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (archive / "more" / "03.png").write_bytes(b"no picture")
    (archive / "other.mp4").write_bytes(b"no video")
    (archive / "gone.jpg").symlink_to("nowhere")
    told, said = annotate(capsys, archive, "--out", "out.json", status=1)
    assert said.splitlines()[-1] == (
        "edgehr annotate: 3 files could not be read, as said above; out.json has the others"
    )
    assert set(told["problems"]) == {"more/03.png", "other.mp4", "gone.jpg"}
    assert told["pictures"] == 51
    warnings = [record.message for record in caplog.records]
    assert any("03.png: not an image that OpenCV reads; it is left out" in text for text in warnings)
    assert any("other.mp4: OpenCV cannot open this video" in text for text in warnings)
    assert "gone.jpg: is a link that leads to no file; it is left out" in warnings
    assert len(COCO("out.json").imgs) == 51


def test_what_could_not_be_read_is_tried_again(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where a network drive was away: names, sizes and times of the pictures are what they were."""
    folder = archive / "more"
    pictures = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}

    def write(path: Path, content: bytes) -> None:
        path.write_bytes(content)
        os.utime(path, ns=(pictures[path][1],) * 2)

    for path, (content, _) in pictures.items():
        write(path, bytes(len(content)))
    _, said = annotate(capsys, folder, "--out", "out.json", status=1)
    assert "none of the pictures can be read" in said
    for path, (content, _) in pictures.items():
        write(path, content)
    told, _ = annotate(capsys, folder, "--out", "out.json")
    assert (told["pictures"], told["known"]) == (len(pictures), 0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["archive", "--out", "o.json", "--classes", "cat"], "Segmenter has no option classes"),
        (["absent", "--out", "o.json"], "absent: no such picture, video or folder"),
        (["segmenter.onnx", "--out", "o.json"], "segmenter.onnx: unknown kind of file"),
        (["archive", "--out", "o.csv"], "o.csv: the name must end in .parquet"),
        (["archive", "--out", "segmenter.onnx/o.json"], "cannot write to segmenter.onnx"),
        (["archive", "--out", "o.json", "--detector", "absent.xml"], "absent.xml: no such model file"),
    ],
)
def test_mistakes_are_one_line(
    archive: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    _, said = annotate(capsys, *arguments, status=1)
    assert problem in said
    assert len(said.splitlines()) == 1


def test_classes_have_no_place_in_a_coco_file(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_classifier(archive.parent / "classes.onnx", color_card())
    assert main(["annotate", str(archive), "--model", "classes.onnx", "--out", "o.json"]) == 1
    assert "a COCO file has no place for results of classification" in capsys.readouterr().err
    assert main(["annotate", str(archive), "--model", "classes.onnx", "--out", "o.parquet"]) == 0
    assert pd.read_parquet("o.parquet").file_name.nunique() == 52


@pytest.mark.parametrize(
    ("name", "code"), [("a.mp4", "mp4v"), ("b.avi", "MJPG"), ("c.webm", "VP80"), ("d.mpg", "MPG2")]
)
def test_ranges_of_a_video_are_all_of_it(tmp_path: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "FRAMES", 9)
    save_video(tmp_path / name, code)
    ranges, _ = Archive.of([tmp_path]).pieces()
    assert [str(each) for each in ranges[:2]] == [f"{name} from frame 0", f"{name} from frame 9"]
    found, marks = read(ranges)
    assert found == [about(frame) for frame in open_source(tmp_path / name)]
    assert badly_sought(ranges, marks) == set()


def test_a_seek_that_lands_elsewhere_is_noticed(archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    annotate(capsys, archive, "--out", "right.json")
    right = pieces._sought

    def wrong(path: Path, start: int, stop: int | None) -> Iterator[Frame]:
        for frame in right(path, start + 1, None if stop is None else stop + 1):
            yield Frame(frame.name, frame.image, frame.number - 1, frame.time_s, frame.position_s)

    monkeypatch.setattr(pieces, "_sought", wrong)
    ranges = [each for each in Archive.of([archive]).pieces()[0] if isinstance(each, Range)]
    assert badly_sought(ranges, read(ranges)[1]) == {archive / "film.mp4"}
    annotate(capsys, archive, "--out", "mended.json")
    assert Path("mended.json").read_bytes() == Path("right.json").read_bytes()


def about(frame: Frame) -> tuple[Any, ...]:
    return frame.number, frame.position_s, frame.image.tobytes()


def read(ranges: Any) -> tuple[list[Any], list[Any]]:
    found, marks = [], []
    for each in ranges:
        marks.append({})
        found += [about(frame) for frame in each.frames(marks[-1])]
    return found, marks


def test_files_of_one_folder_are_called_by_their_place_and_others_as_they_were_named(archive: Path) -> None:
    listed, _ = Archive.of([Path("archive/more"), Path("archive/film.mp4")]).pieces()
    assert isinstance(listed[0], Pictures)
    assert listed[0].files[0][1] == "archive/more/00.png"
    assert str(listed[-1]).startswith("archive/film.mp4")
    (archive.parent / "empty").mkdir()
    with pytest.raises(EdgehrError, match="empty: holds no pictures"):
        Archive.of([archive.parent / "empty"])
