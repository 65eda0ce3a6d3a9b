"""Where frames and poses go."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.live.sinks import SinkGroup, StopRequested, open_sink, open_sinks
from edgehr.live.sinks import window as window_module
from edgehr.live.sinks.json_lines import JsonLinesSink
from edgehr.live.sinks.video import VideoSink
from edgehr.live.sinks.window import WindowSink
from edgehr.live.sources import Frame, open_source
from edgehr.live.sources.live import LiveSource
from edgehr.tasks.pose.poses import Poses
from tests.live.sources.test_sources import write_video
from tests.live.streams import number_in, numbered


def frame(number: int, time_s: float = 0.0) -> Frame:
    return Frame(f"f-{number:06d}.jpg", numbered(number), number, time_s)


def poses(*ids: int) -> Poses:
    people = len(ids)
    return Poses(
        np.full((people, 4), 1.23456, np.float32),
        np.full((people, 2, 2), 7.98765, np.float32),
        np.full((people, 2), 0.123456, np.float32),
        np.array(ids, np.int64),
    )


EMPTY = Poses(np.zeros((0, 4), np.float32), np.zeros((0, 17, 2), np.float32), np.zeros((0, 17), np.float32))


def live_source(name: str = "rtsp://user:***@host:554/door", path: Path | None = None) -> LiveSource:
    return LiveSource(name, lambda stop, tell: (_ for _ in ()), print, path=path)


def test_json_lines_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "poses.jsonl"
    sink = JsonLinesSink(path)
    sink.write(frame(3, 12.345678), poses(5, -1))
    sink.write(frame(4), EMPTY)
    sink.write(frame(5))
    assert not path.exists()
    assert sink.close() == [path]
    assert sink.close() == []
    sink.discard()
    first, *others = [json.loads(line) for line in path.read_text().splitlines()]
    keypoints = [[7.99, 7.99, 0.1235]] * 2
    assert first == {
        "frame": 3,
        "name": "f-000003.jpg",
        "time_s": 12.3457,
        "width": 256,
        "height": 32,
        "people": [
            {"id": 5, "box": [1.23] * 4, "keypoints": keypoints},
            {"id": None, "box": [1.23] * 4, "keypoints": keypoints},
        ],
    }
    without_people = {"width": 256, "height": 32, "time_s": 0.0}
    assert others == [
        {"frame": 4, "name": "f-000004.jpg", "people": [], **without_people},
        {"frame": 5, "name": "f-000005.jpg", **without_people},
    ]


def test_json_lines_that_are_given_up_or_cannot_be(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "poses.jsonl")
    sink.write(frame(0), poses(1))
    sink.discard()
    sink.discard()
    assert sink.close() == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "x.jsonl"):
        with pytest.raises(EdgehrError):
            JsonLinesSink(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_json_lines_on_a_full_disk(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "poses.jsonl")
    sink._file = open("/dev/full", "w")  # noqa: SIM115 - the sink closes it
    sink.write(frame(0), poses(1))
    with pytest.raises(EdgehrError, match=r"poses.jsonl: cannot be written: No space"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


def test_json_lines_on_standard_output_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw)))
    sink = JsonLinesSink("-")
    for number in range(2):
        sink.write(frame(number), poses(number))
        assert [json.loads(line)["frame"] for line in raw.getvalue().splitlines()] == list(range(number + 1))
    assert sink.close() == []
    sink.discard()
    sys.stdout.write("still open")


def test_nobody_reads_the_json_lines_any_more() -> None:
    script = (
        "import sys, numpy as np\n"
        "from edgehr.live.sinks import StopRequested\n"
        "from edgehr.live.sinks.json_lines import JsonLinesSink\n"
        "from edgehr.live.sources import Frame\n"
        "sink = JsonLinesSink('-')\n"
        "try:\n"
        "    while True: sink.write(Frame('a', np.zeros((2, 2, 3), np.uint8)))\n"
        "except StopRequested:\n"
        "    print('stopped', file=sys.stderr)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    json.loads(process.stdout.readline())
    process.stdout.close()
    assert "stopped" in process.stderr.read()
    process.stderr.close()
    process.wait()


def test_a_live_video_keeps_the_time(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", 10, live=True)
    # A frame of 0.2 s, three within 0.1 s, one of 0.1 s, and one after which the camera was away for an hour.
    for number, time_s in enumerate((100.0, 100.2, 100.23, 100.26, 100.3, 100.4, 3700.4)):
        sink.write(frame(number, time_s))
    sink.close()
    shown = [number_in(one.image) for one in open_source(tmp_path / "v.mp4")]
    assert shown.count(0) == 2
    assert sum(shown.count(number) for number in (1, 2, 3)) == 1
    assert shown.count(4) == 1
    assert shown.count(5) == 10
    assert shown.count(6) == 1
    assert shown == sorted(shown)


def test_where_a_live_source_is_saved(tmp_path: Path) -> None:
    source = live_source()
    with pytest.raises(EdgehrError, match="cannot hold the video rtsp://user:"):
        open_sink(tmp_path / "x.jpg", source)
    for out, expected in ((tmp_path, "rtsp-user-host-554-door.mp4"), (tmp_path / "x.avi", "x.avi")):
        sink = open_sink(out, source)
        sink.write(frame(0))
        assert sink.close() == [tmp_path / expected]
    video = write_video(tmp_path / "v.mp4", 3)
    with pytest.raises(EdgehrError, match="overwrite the source"):
        open_sink(tmp_path, live_source("v", video))


def test_a_video_sink_without_frames_leaves_nothing(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", 10)
    assert sink.close() == []
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_several_sinks_as_one(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "v.mp4", 3))
    sinks = open_sinks(source, tmp_path / "out", tmp_path / "out" / "poses.jsonl")
    for one in source:
        sinks.write(one, EMPTY)
    assert sinks.close() == [tmp_path / "out" / "v.mp4", tmp_path / "out" / "poses.jsonl"]
    assert open_source(tmp_path / "out" / "v.mp4").count == 3
    assert len((tmp_path / "out" / "poses.jsonl").read_text().splitlines()) == 3
    sinks = open_sinks(source, tmp_path / "other", tmp_path / "other" / "poses.jsonl")
    sinks.write(frame(0), EMPTY)
    sinks.discard()
    assert list((tmp_path / "other").iterdir()) == []
    assert open_sinks(source).close() == []


def test_if_one_sink_cannot_be_opened_the_others_leave_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 3)
    for json_lines, message in ((path, "overwrite the source"), (tmp_path, "is a folder")):
        with pytest.raises(EdgehrError, match=message):
            open_sinks(open_source(path), tmp_path / "out", json_lines)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


class Records:
    """A sink that notes what is done to it."""

    def __init__(self, fails: str = "") -> None:
        self.done: list[str] = []
        self._fails = fails

    def write(self, frame: Frame, poses: Poses | None = None) -> None:
        self.done.append("write")
        if self._fails == "write":
            raise StopRequested

    def close(self) -> list[Path]:
        self.done.append("close")
        if self._fails == "close":
            raise EdgehrError("full")
        return []

    def discard(self) -> None:
        self.done.append("discard")


def test_every_sink_gets_the_last_frame() -> None:
    sinks = [Records("write"), Records()]
    with pytest.raises(StopRequested):
        SinkGroup(sinks).write(frame(0))
    assert [sink.done for sink in sinks] == [["write"], ["write"]]


def test_where_one_sink_fails_to_close_the_rest_is_discarded() -> None:
    sinks = [Records(), Records("close"), Records()]
    with pytest.raises(EdgehrError, match="full"):
        SinkGroup(sinks).close()
    assert sinks[2].done == ["discard"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a screen, or Qt is not used")
def test_no_screen_is_an_error_and_not_the_end_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for display in ("", ":987"):
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(EdgehrError, match=r"cannot open a window: is there a screen|built without windows"):
            WindowSink()


def test_an_opencv_without_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial's process finds an OpenCV that says what opencv-python-headless says."""
    (tmp_path / "cv2.py").write_text(
        "WINDOW_NORMAL = 0\ndef namedWindow(*_): raise RuntimeError('error: (-2) The function is not implemented.')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EdgehrError, match=r"built without windows: pip uninstall -y opencv-python.*--serve"):
        WindowSink()


class FakeScreen:
    """OpenCV's window functions, for the decisions that depend on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key, self.visible = -1, 1.0
        self.size = (0, 0)
        self.shown: list[str] = []
        monkeypatch.setattr(window_module, "check_window", lambda: None)
        for name in ("namedWindow", "imshow", "destroyWindow"):
            monkeypatch.setattr(cv2, name, lambda *_, name=name: self.shown.append(name))
        monkeypatch.setattr(cv2, "resizeWindow", lambda _, width, height: setattr(self, "size", (width, height)))
        monkeypatch.setattr(cv2, "waitKey", lambda _: self.key)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: self.visible)


def test_a_pretended_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """For machines without a screen; with one, the next test opens a real window."""
    for key, visible in ((ord("q"), 1.0), (27, 1.0), (0x100000 + ord("q"), 1.0), (-1, 0.0), (-1, -1.0)):
        screen = FakeScreen(monkeypatch)
        sink = WindowSink()
        sink.write(Frame("large", np.zeros((2000, 1000, 3), np.uint8)))
        assert screen.size == (480, 960)
        screen.key, screen.visible = key, visible
        with pytest.raises(StopRequested):
            sink.write(frame(1))
        assert sink.close() == []
        sink.discard()
        # Neither drawn into nor closed once a user closed it: either would make it anew.
        assert screen.shown == ["namedWindow", "imshow", *(["imshow", "destroyWindow"] if visible > 0 else [])]


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a screen (xvfb-run)")
def test_a_window() -> None:
    try:
        sink = WindowSink("edgehr's own test")
    except EdgehrError as error:
        pytest.skip(str(error))
    for number in range(5):
        sink.write(frame(number))
    cv2.destroyWindow("edgehr's own test")
    with pytest.raises(StopRequested):
        sink.write(frame(5))
    sink.close()
