"""Cameras and streams, by a camera on loopback where there can be one."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError, TensorError
from edgehr.pose.sources import Frame, Source, devices, live, open_source
from edgehr.pose.sources.addresses import find_device, hide_secrets
from edgehr.pose.sources.quiet import quiet
from tests.pose.streams import MjpegServer, number_in
from tests.pose.test_sources import wait_for, write_video


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def camera() -> Iterator[MjpegServer]:
    server = MjpegServer()
    yield server
    server.down()


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(devices, "LONGEST_PAUSE_S", 0.2)


def take(source: Source, count: int) -> list[Frame]:
    frames = iter(source)
    return [next(frames) for _ in range(count)]


def test_a_stream_gives_its_newest_frame(camera: MjpegServer, capfd: pytest.CaptureFixture[str]) -> None:
    source = open_source(camera.address)
    assert (source.kind, source.count, source.path) == ("live", 0, None)
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) in (3, 5):
            before = source.dropped
            wait_for(lambda before=before: source.dropped >= before + 20)
        if len(frames) == 8:
            source.close()
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert numbers[3] >= numbers[2] + 20
    assert numbers[5] >= numbers[4] + 20
    shown = [number_in(frame.image) for frame in frames]
    # The camera's own count and the source's go together: nothing was left out or changed its place on the way.
    assert {a - b for a, b in zip(shown, numbers, strict=True)} == {shown[0] - numbers[0]}
    assert source.dropped >= 40
    assert [frame.time_s for frame in frames] == sorted({frame.time_s for frame in frames})
    assert "topsecret" not in source.name + frames[0].name + repr(source) + "".join(capfd.readouterr())


def test_frames_before_anyone_asks_are_neither_given_nor_missed(camera: MjpegServer) -> None:
    source = open_source(camera.address)
    sent = camera.sent
    wait_for(lambda: camera.sent >= sent + 50)
    frames = iter(source)
    first = next(frames)
    assert number_in(first.image) > sent
    assert first.number < 25
    source.close()
    assert next(frames, None) is None


@pytest.mark.usefixtures("_short_pauses")
def test_a_camera_that_leaves_and_returns(camera: MjpegServer) -> None:
    messages: list[str] = []
    source = open_source(camera.address, listener=messages.append, timeout_s=5)
    frames = iter(source)
    before = [next(frames) for _ in range(3)]
    camera.down()
    wait_for(lambda: any("next try" in message for message in messages))
    assert "lost" in messages[0]
    camera.up()
    wait_for(lambda: any("is back" in message for message in messages))
    after = [next(frames) for _ in range(3)]
    numbers = [frame.number for frame in before + after]
    assert numbers == sorted(set(numbers))
    shown = [number_in(frame.image) for frame in before + after]
    assert shown == sorted(set(shown))
    source.close()
    assert "topsecret" not in "".join(messages)


@pytest.mark.usefixtures("_short_pauses")
def test_a_camera_that_falls_silent_is_opened_again(camera: MjpegServer) -> None:
    messages: list[str] = []
    source = open_source(camera.address, listener=messages.append, timeout_s=1)
    frames = iter(source)
    next(frames)
    camera.silent.set()
    wait_for(lambda: any("lost" in message for message in messages))
    camera.silent.clear()
    wait_for(lambda: any("is back" in message for message in messages))
    assert next(frames).number > 0
    source.close()


def test_closing_ends_the_iteration_at_once(camera: MjpegServer) -> None:
    source = open_source(camera.address, timeout_s=3)
    ended = threading.Event()

    def consume() -> None:
        for _ in source:
            pass
        ended.set()

    consumer = threading.Thread(target=consume)
    consumer.start()
    camera.silent.set()
    time.sleep(0.2)  # now it waits
    closing = threading.Thread(target=source.close)
    closing.start()
    assert ended.wait(2)  # though the read itself may take its 3 s
    consumer.join()
    closing.join()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgehr")]
    source.close()  # once more does no harm
    assert list(source) == []


def test_leaving_the_loop_and_going_on(camera: MjpegServer) -> None:
    source = open_source(camera.address)
    first, second = take(source, 2), take(source, 2)
    assert first[-1].number < second[0].number
    source.close()


def test_a_video_file_behind_an_address_comes_whole(tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", 20, "MJPG")
    handler = partial(QuietHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        source = open_source(f"http://127.0.0.1:{server.server_port}/v.avi")
        assert (source.kind, source.count) == ("video", 20)
        assert [number_in(frame.image) for frame in source] == list(range(20))
        with pytest.raises(EdgehrError, match="cannot be opened"):
            open_source(f"http://127.0.0.1:{server.server_port}/absent.avi")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_an_rtsp_server_that_never_answers(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        with pytest.raises(EdgehrError) as caught:
            open_source(f"rtsp://user:topsecret@127.0.0.1:{server.getsockname()[1]}/x", timeout_s=1)
    assert time.monotonic() - started < 8
    message = str(caught.value)
    assert "rtsp://user:***@127.0.0.1" in message
    assert "FFmpeg for 1 s at most" in message
    assert "\n" not in message
    assert "topsecret" not in message + "".join(capfd.readouterr())


def test_addresses_where_nobody_is(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for scheme in ("rtsp", "http"):
        with pytest.raises(EdgehrError, match=r"user:\*\*\*@127.0.0.1.*cannot be opened.*check the address"):
            open_source(f"{scheme}://user:topsecret@127.0.0.1:{port}/x")
    assert "topsecret" not in "".join(capfd.readouterr())


def test_kinds_of_addresses_that_are_not_understood() -> None:
    for spec, message in (
        ("gopher://user:topsecret@host/x", "unknown kind of stream"),
        ("csi:front", "give a sensor's number"),
        ("csi:0?widht=640", "widht=640 is not understood"),
        ("csi:0?width=640!filesink", "is not understood"),
    ):
        with pytest.raises(EdgehrError, match=message) as caught:
            open_source(spec)
        assert "topsecret" not in str(caught.value)
    assert find_device("folder/0.mp4", 5) is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:secret@host:554/a", "rtsp://user:***@host:554/a"),
        ("rtsp://user:secret@secret/secret?secret#secret@host/a", "rtsp://user:***@host/a"),
        ("rtsp://:secret@host", "rtsp://:***@host"),
        ("rtsp://user@host:554/a", "rtsp://user@host:554/a"),
        ("http://host:8080/a?fps=5", "http://host:8080/a?fps=5"),
        ("http://host/a?user=me&pwd=secret&x=1", "http://host/a?user=me&pwd=***&x=1"),
        ("http://host/a?Access_Token=secret", "http://host/a?Access_Token=***"),
    ],
)
def test_passwords_are_never_shown(address: str, shown: str) -> None:
    assert hide_secrets(address) == shown
    device = find_device(address, 5)
    assert device is not None
    assert "secret" not in repr(device)


@pytest.mark.skipif(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has GStreamer")
def test_a_csi_camera_needs_gstreamer() -> None:
    with pytest.raises(EdgehrError, match=r"built without GStreamer.*--system-site-packages.*docs/jetson.md") as caught:
        open_source("csi:0")
    assert cv2.__version__ in str(caught.value)


def test_the_pipeline_of_a_csi_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV with GStreamer is pretended; what NVIDIA's elements make of the pipeline only a board can tell."""
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: True)
    monkeypatch.setattr(cv2, "__version__", "4.8.0")
    device = find_device("csi:1?width=1920&height=1080&fps=60&flip=2", 3)
    assert device is not None
    assert device.backend == cv2.CAP_GSTREAMER
    pipeline = str(device.address)
    for part in (
        "nvarguscamerasrc sensor-id=1 !",
        "width=1920, height=1080, framerate=60/1",
        "flip-method=2",
        "appsink drop=true max-buffers=1",
    ):
        assert part in pipeline
    assert device.parameters == (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 3000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 3000)
    monkeypatch.setattr(cv2, "__version__", "4.6.0")  # refuses them
    assert find_device("csi:0", 3).parameters == ()  # type: ignore[union-attr]


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")
def test_a_camera_that_is_not_there() -> None:
    for spec in ("63", 63, "/dev/video63", Path("/dev/video63")):
        with pytest.raises(EdgehrError, match=r"cannot be opened \(tried V4L2 with /dev/video63\): there is no"):
            open_source(spec)  # type: ignore[arg-type]


class FakeCamera:
    """Stands in for `cv2.VideoCapture`: each opening is a script of pictures, None for a read that fails."""

    script: list[list[Any] | None]  # None: cannot be opened
    released = 0

    def __init__(self, *_: object) -> None:
        script = type(self).script.pop(0) if type(self).script else None
        self._opens, self._left = script is not None, list(script or [])

    def isOpened(self) -> bool:  # noqa: N802
        return self._opens

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(0.01)
        image = self._left.pop(0) if self._left else None
        return image is not None, image

    def get(self, _: int) -> float:
        return 30

    def release(self) -> None:
        type(self).released += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    """There is no camera where these tests run, hence one that is pretended."""
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    FakeCamera.released = 0
    return FakeCamera


GREY, BGRA, BGR = np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6, 3), np.uint8)
EMPTY = np.zeros((0, 6, 3), np.uint8)


@pytest.mark.usefixtures("_short_pauses")
def test_a_pretended_camera_that_fails_in_every_way(fake: type[FakeCamera]) -> None:
    messages: list[str] = []
    # Opens; is unplugged; is not found, gives nothing, gives a few, and is there again.
    fake.script = [[None, EMPTY, GREY, None, BGRA, BGR], None, [None] * 20, [BGR, BGR], [BGR] * 100000]
    source = open_source("0", listener=messages.append)
    assert (source.name, source.kind, source.fps) == ("camera 0", "live", 30)
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) > 10 and sum("is back" in message for message in messages) == 2:
            source.close()
    assert {frame.image.shape for frame in frames} == {(4, 6, 3)}
    assert frames[0].name.startswith("camera-0-0000")
    stories = [message.split(":")[1].split(";")[0].split("(")[0].strip() for message in messages]
    assert stories == ["lost", "cannot be opened", "opens but gives no picture", "is back", "lost", "is back"]
    assert fake.released == 4  # the one that did not open has nothing to release


def test_a_pretended_camera_without_a_picture(fake: type[FakeCamera]) -> None:
    fake.script = [[None] * 20]
    with pytest.raises(EdgehrError, match=r"camera 0: opens but gives no picture \(tried"):
        open_source("0")
    assert fake.released == 1


def test_a_pretended_camera_of_16_bit_pictures(fake: type[FakeCamera]) -> None:
    fake.script = [[BGR, BGR, GREY.astype(np.uint16)]]
    source = open_source("0")
    with pytest.raises(TensorError, match="uint8"):
        list(source)
    assert fake.released == 1
    source.close()


def test_a_pretended_opening_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer, or GStreamer without NVIDIA's source, cannot be had at will."""
    goes_on = threading.Event()

    class Blocks(FakeCamera):
        script = [[BGR]]  # noqa: RUF012

        def __init__(self, *_: object) -> None:
            goes_on.wait()
            super().__init__()

    monkeypatch.setattr(cv2, "VideoCapture", Blocks)
    monkeypatch.setattr(devices, "SLACK_S", 0.0)
    with pytest.raises(EdgehrError, match=r"rtsp://user:\*\*\*@host: does not answer"):
        open_source("rtsp://user:topsecret@host", timeout_s=0.1)
    goes_on.set()
    wait_for(lambda: Blocks.released == 1)  # what comes too late is let go
    wait_for(lambda: not any(thread.name.startswith("edgehr opens") for thread in threading.enumerate()))


def test_opencv_speaks_again_after_an_opening() -> None:
    log = getattr(cv2.utils, "logging", None)
    if log is None:
        pytest.skip("this OpenCV's log level cannot be set")
    before = log.getLogLevel()
    with quiet():
        with quiet():
            pass
        assert log.getLogLevel() == log.LOG_LEVEL_SILENT
    assert log.getLogLevel() == before


def test_a_pretended_driver_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SILENCE_S", 0.1)
    messages: list[str] = []
    goes_on = threading.Event()

    def blocks(stop: threading.Event, tell: object) -> Any:
        yield BGR
        goes_on.wait()
        yield BGR

    source = live.LiveSource("it", blocks, messages.append, patience_s=0.05)
    frames = iter(source)
    next(frames)
    threading.Timer(0.5, source.close).start()
    assert next(frames, None) is None
    wait_for(lambda: "does not return" in messages[-1])
    assert "no sign of life" in messages[0]
    goes_on.set()
    wait_for(lambda: not any(thread.name == "edgehr it" for thread in threading.enumerate()))
