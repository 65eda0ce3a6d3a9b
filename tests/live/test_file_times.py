"""Time of video files: read from their frames, and kept in what is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.live.pipeline import run_pipeline
from edgehr.live.sinks import open_sink
from edgehr.live.sinks.json_lines import JsonLinesSink
from edgehr.live.sinks.video import CODECS, VideoSink
from edgehr.live.sources import Frame, open_source
from edgehr.live.sources.video import even_rate
from edgehr.live.timing import StageTimes
from tests.live.sources.test_sources import write_video
from tests.live.streams import number_in, numbered

# 9 frames at 30 a second, 8 at 5, 7 at 30.
VARIABLE = [*(n / 30 for n in range(9)), *(8 / 30 + n / 5 for n in range(1, 9)), *((56 + n) / 30 for n in range(1, 8))]


def test_time_comes_from_the_frames(shared: Path, tmp_path: Path) -> None:
    path = shared / "faults" / "video" / "vfr.mp4"
    positions = [frame.position_s for frame in open_source(path)]
    assert positions == pytest.approx(VARIABLE)
    assert [
        time_s for _, time_s in run_pipeline(open_source(path), lambda image, time_s, found: time_s, StageTimes())
    ] == positions
    sink = JsonLinesSink(tmp_path / "times.jsonl")
    for frame in open_source(path):
        sink.write(frame)
    sink.close()
    lines = (tmp_path / "times.jsonl").read_text().splitlines()
    assert [json.loads(line)["time_s"] for line in lines] == pytest.approx(VARIABLE, abs=1e-4)


def test_a_repeated_video_goes_on_in_time(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "v.mp4", 3, fps=10), loop=True)
    positions = [frame.position_s for frame, _ in zip(source, range(8), strict=False)]
    assert positions == pytest.approx([n / 10 for n in range(8)])


@pytest.mark.parametrize("kind", CODECS)
def test_a_variable_rate_keeps_its_times(kind: str, shared: Path, tmp_path: Path) -> None:
    source = open_source(shared / "faults" / "video" / "vfr.mp4")
    sink = open_sink(tmp_path / f"v{kind}", source)
    for frame in source:
        sink.write(Frame(frame.name, numbered(frame.number), frame.number, frame.time_s, frame.position_s))
    (saved,) = sink.close()
    shown = {number_in(frame.image): frame.position_s for frame in reversed(list(open_source(saved)))}
    assert [shown[number] for number in range(24)] == pytest.approx(VARIABLE, abs=1e-3)  # .mkv: milliseconds


@pytest.mark.parametrize(
    ("kind", "fps", "written"),
    [
        (".mp4", 200 / 3, 66.67),  # the codec takes no fraction with more than 16 bits
        (".avi", 200 / 3, 66.667),
        (".webm", 200 / 3, 200 / 3),
        (".mp4", 24000 / 1001, 23.976),
        (".mp4", 30000 / 1001, 29.97),
        (".mp4", 120, 120),
        (".mp4", 0.5, 0.5),
        (".mkv", 999, 999),
        (".avi", 1000, 600),
        (".mp4", 90000, 1000),
    ],
)
def test_any_rate_is_written_and_another_one_said(kind: str, fps: float, written: float, tmp_path: Path) -> None:
    said: list[str] = []
    sink = VideoSink(tmp_path / f"v{kind}", fps, tell=said.append)
    for number in range(6):
        sink.write(Frame("x", numbered(number)))
    (saved,) = sink.close()
    source = open_source(saved)
    assert source.fps == pytest.approx(written, abs=1e-5)
    assert [number_in(frame.image) for frame in source] == list(range(6))
    changed = abs(written - fps) > 0.001
    assert said == [f"{saved}: has {written:g} frames a second, the nearest to {fps:g} that it can have"] * changed


def test_frames_that_come_closer_than_the_file_can_show_are_said(tmp_path: Path) -> None:
    said: list[str] = []
    sink = VideoSink(tmp_path / "v.avi", 2400, tell=said.append)
    for number in range(41):
        sink.write(Frame("x", numbered(number), position_s=number / 2400))
    (saved,) = sink.close()
    assert open_source(saved).count == 12
    assert said[1:] == [f"{saved}: 29 frames came closer together than it can show, and are left out"]


def test_a_damaged_timestamp_fills_no_disk(tmp_path: Path) -> None:
    said: list[str] = []
    sink = VideoSink(tmp_path / "v.mp4", 10, tell=said.append)
    for number, position in enumerate((0.0, 0.1, 40000.0, 40000.1)):
        sink.write(Frame("x", numbered(number), position_s=position))
    (saved,) = sink.close()
    assert open_source(saved).count == 603
    assert said == [f"{saved}: 1 frames with nothing after them for more than 60 s are shown for so long only"]


def test_kinds_that_cannot_be_read_again_are_refused(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "v.mp4", 3))
    for kind in (".mpg", ".mpeg"):
        with pytest.raises(EdgehrError, match=f"o{kind}: OpenCV writes no video of this kind: give one of .mp4, "):
            open_sink(tmp_path / f"o{kind}", source)
    with pytest.raises(EdgehrError, match=r"v\.webm: this OpenCV cannot write a video of 20000x2 pixels"):
        VideoSink(tmp_path / "v.webm", 10).write(Frame("x", np.zeros((2, 20000, 3), np.uint8)))


def test_an_even_rate() -> None:
    exact = np.arange(300) * 1001 / 30000
    assert even_rate([], 25) == 25
    assert even_rate(exact.round(3).tolist(), 29.97) == 29.97  # timestamps in milliseconds
    assert even_rate((exact + np.random.default_rng(0).uniform(-0.02, 0.02, 300)).tolist(), 29.97) == 29.97
    assert even_rate(exact.tolist(), 25) == pytest.approx(29.97, abs=0.01)  # the header is wrong
    assert even_rate(VARIABLE, 11.25) == pytest.approx(30)
    assert even_rate([0, 0.1, 0.2, 50000, 50000.1, 50000.2, 50000.3], 1) == pytest.approx(10)


@pytest.mark.parametrize(
    "name",
    [
        "2024-01-01T12:30:05.mp4",
        "csi:0.mp4",
        "%03d.mp4",
        "-dash.mp4",
        "new\nline.mp4",
        "café 日本.mp4",
        "x" * 250 + ".mp4",
        "caf\udce9.mp4",  # Latin-1 bytes, as Python names them
        "caf\udce9/\udcff.mkv",
    ],
)
def test_a_plain_path_means_a_file_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / f"v{Path(name).suffix}", 3)
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    Path(name).parent.mkdir(exist_ok=True)
    try:
        shutil.move(video, name)
    except OSError:
        pytest.skip("this file system has no such names")
    source = open_source(name)
    sink = open_sink(Path("..", "out", name), source)
    for frame in source:
        sink.write(frame)
    (saved,) = sink.close()
    assert saved == Path("..", "out", name)
    assert [number_in(frame.image) for frame in open_source(saved)] == [0, 1, 2]


def test_a_path_is_a_file_and_a_name_may_be_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for spec in (Path("csi:0"), Path("0"), Path("a\0b.mp4"), "x" * 300 + ".mp4"):
        with pytest.raises(EdgehrError, match=r"no such image, folder or video|File name too long"):
            open_source(spec)
