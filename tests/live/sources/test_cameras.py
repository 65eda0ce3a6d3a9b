"""Cameras: on a bus of this machine, where there is none most of the time, so many are pretended."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError, TensorError
from edgehr.live.sources import devices, live, open_source
from edgehr.live.sources.addresses import find_device
from edgehr.live.sources.quiet import quiet_opencv
from tests.live.sources.test_sources import wait_for

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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


GRAY, BGRA, BGR = np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6, 3), np.uint8)
EMPTY = np.zeros((0, 6, 3), np.uint8)


@pytest.mark.usefixtures("short_pauses")
def test_a_pretended_camera_that_fails_in_every_way(fake: type[FakeCamera]) -> None:
    messages: list[str] = []
    # Opens; is unplugged; is not found, gives nothing, gives a few, and is there again.
    fake.script = [[None, EMPTY, GRAY, None, BGRA, BGR], None, [None] * 20, [BGR, BGR], [BGR] * 100000]
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
    fake.script = [[BGR, BGR, GRAY.astype(np.uint16)]]
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
    monkeypatch.setattr(devices, "GRACE_S", 0.0)
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
    with quiet_opencv():
        with quiet_opencv():
            pass
        assert log.getLogLevel() == log.LOG_LEVEL_SILENT
    assert log.getLogLevel() == before


def test_a_pretended_driver_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_SILENCE_S", 0.1)
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
