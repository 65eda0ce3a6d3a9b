"""Live loops over sources that leave, return, or send damaged data. Each function runs in a process of its own."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import cv2

from edgehr.errors import EdgehrError
from edgehr.live.sources import Source, devices, open_source
from edgehr.live.sources.live import LiveSource
from tests.campaign import BrokenPromiseError
from tests.campaign.cameras import FlippingProxy, RtspCamera
from tests.live.streams import MjpegServer

SECRET = "topsecret"  # noqa: S105 - of servers of ours
WAIT_S = 60.0  # so long the loop may take to go on
FEW = 5  # frames that show that it does
ROUNDS, WARM_UP = 25, 8
# Allocators keep what they once had: a leak of one picture a round is more than that.
MOST_MIB = 12.0
CLOCK_FRAMES = 40


class Loop:
    """A live loop in a thread: people are found in each frame by networks that answer at once."""

    def __init__(self, source: Source, said: deque[str]) -> None:
        self.frames, self.error = 0, ""
        self._source, self._said = source, said
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        from benchmarks.live_pose import Instant
        from benchmarks.soak import detect_standing
        from edgehr import PoseEstimator

        try:
            with PoseEstimator(Instant(), detector=detect_standing) as estimator:
                for _ in estimator.stream(self._source):
                    self.frames += 1
        except EdgehrError as error:
            self.error = str(error)
            check_line(self.error)

    def go_on(self) -> None:
        """Wait for frames from now on."""
        enough = self.frames + FEW
        self.wait(lambda: self.frames >= enough, "no frames")
        for line in list(self._said):
            check_line(line)

    def wait(self, reached: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + WAIT_S
        while not reached():
            if time.monotonic() > end or (self.error and not reached()):
                raise BrokenPromiseError(f"{otherwise} ({self.error or list(self._said)[-2:]})")
            time.sleep(0.01)

    def ends(self) -> str:
        """Wait until the loop ends by itself, and return what it said."""
        self._thread.join(WAIT_S)
        if self._thread.is_alive():
            raise BrokenPromiseError(f"still runs after {WAIT_S:.0f} s without its source")
        return self.error

    def close(self) -> None:
        self._source.close()
        self._thread.join(WAIT_S)
        if self._thread.is_alive():
            raise BrokenPromiseError("the loop hangs after its source was closed")


def check_line(text: str) -> None:
    if "\n" in text.strip() or SECRET in text or not text.strip():
        raise BrokenPromiseError(f"said {text!r}")


@contextmanager
def live(source: str | Source, timeout_s: float = 2.0) -> Iterator[Loop]:
    """Open a source and run a loop over it; lost cameras are opened again at once."""
    devices.MIN_PAUSE_S, devices.MAX_PAUSE_S = 0.02, 0.1
    said: deque[str] = deque(maxlen=100)
    opened = open_source(source, timeout_s=timeout_s, listener=said.append) if isinstance(source, str) else source
    loop = Loop(opened, said)
    try:
        yield loop
    finally:
        loop.close()


def comes_and_goes(loop: Loop, leave: Callable[[], None], back: Callable[[], None], rounds: int, warm_up: int) -> str:
    """Let a source leave and return, and compare what the process holds then with what it held early on."""
    from benchmarks.soak import usage

    early = usage()
    for number in range(warm_up + rounds):
        loop.go_on()
        leave()
        back()
        loop.go_on()
        if number == warm_up - 1:
            early = usage()
    late = usage()
    if late.threads > early.threads or late.files > early.files + 1 or late.rss_mib > early.rss_mib + MOST_MIB:
        raise BrokenPromiseError(f"grows over {rounds} rounds: {early} to {late}")
    return "goes on"


def http_comes_and_goes(folder: Path, random: Random) -> str:
    with _served() as camera, live(camera.address, timeout_s=1.0) as loop:

        def leave() -> None:
            if random.random() < 0.2:
                camera.silent.set()
                time.sleep(1.2)
            else:
                camera.down()
                time.sleep(random.uniform(0, 0.2))

        def back() -> None:
            if camera.silent.is_set():
                camera.silent.clear()
            else:
                camera.up()

        return comes_and_goes(loop, leave, back, ROUNDS, WARM_UP)


@contextmanager
def _served() -> Iterator[MjpegServer]:
    camera = MjpegServer(fps=50)
    try:
        yield camera
    finally:
        camera.down()


def file_comes_and_goes(folder: Path, random: Random) -> str:
    """Open a video file as a camera, which is lost at each end of the file, and rename it meanwhile."""
    import cv2

    path, away = _video(folder / "camera.avi", 40), folder / "away.avi"
    device = devices.Device("camera.avi", str(path), cv2.CAP_FFMPEG, "FFmpeg", lambda: "is it there?", (), 2.0)
    said: deque[str] = deque(maxlen=100)
    source = LiveSource(device.name, devices.reconnecting(device, device.connect()), said.append, patience_s=10)

    def leave() -> None:
        path.rename(away)
        time.sleep(random.uniform(0, 0.1))

    with live(source) as loop:
        return comes_and_goes(loop, leave, lambda: _rename(away, path), ROUNDS, WARM_UP)


def _rename(source: Path, target: Path) -> None:
    source.rename(target)


def looped_file_goes(folder: Path, random: Random) -> str:
    """Take a video that is repeated away, or put something else there."""
    path = _video(folder / "looped.avi", 20)
    how = random.choice(("removed", "emptied", "cut", "replaced"))
    with live(open_source(path, loop=True)) as loop:
        loop.go_on()
        if how == "replaced":
            _video(folder / "other.avi", 10).replace(path)
            loop.go_on()
            loop.go_on()
            return "goes on"
        content = path.read_bytes()
        path.unlink()
        if how != "removed":
            path.write_bytes(content[: 0 if how == "emptied" else random.randrange(len(content) // 4)])
        if how == "cut" and cv2.VideoCapture(str(path)).read()[0]:  # some frames are left
            loop.go_on()
            return "goes on"
        said = loop.ends()
        if not said:
            raise BrokenPromiseError(f"ended without a word when its file was {how}")
    return "one line"


def http_is_damaged(folder: Path, random: Random) -> str:
    camera = MjpegServer(fps=50)
    proxy = FlippingProxy(int(camera.address.rpartition(":")[2].split("/")[0]), random.choice((1e-4, 1e-3)), random)
    try:
        address = camera.address.replace(camera.address.rpartition("@")[2].split("/")[0], f"127.0.0.1:{proxy.port}")
        return _recovers(address, proxy, random)
    finally:
        proxy.close()
        camera.down()


def _recovers(address: str, proxy: FlippingProxy, random: Random) -> str:
    with live(address) as loop:
        for _ in range(3):
            loop.go_on()
            proxy.flips.set()
            time.sleep(random.uniform(0.2, 1.5))
            proxy.flips.clear()
        loop.go_on()
    return "goes on"


def plays(transport: str, folder: Path, random: Random) -> str:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{transport}"
    camera = RtspCamera()
    try:
        with live(camera.address(), timeout_s=10) as loop:
            for _ in range(4):
                loop.go_on()
    finally:
        camera.down()
    return "goes on"


def wrong_password(folder: Path, random: Random) -> str:
    camera = RtspCamera()
    wrong = f"wrong{random.randrange(10**6)}"
    try:
        open_source(camera.address(wrong), timeout_s=10).close()
    except EdgehrError as error:
        check_line(str(error))
        if wrong in str(error):
            raise BrokenPromiseError(f"tells the password: {error}") from None
        return "one line"
    finally:
        camera.down()
    raise BrokenPromiseError("was let in with a wrong password")


def rtsp_comes_and_goes(folder: Path, random: Random) -> str:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{random.choice(('tcp', 'udp'))}"
    camera = RtspCamera()
    try:
        with live(camera.address(), timeout_s=4) as loop:
            return comes_and_goes(loop, camera.down, camera.up, rounds=4, warm_up=1)
    finally:
        camera.down()


def damaged_stream(transport: str, folder: Path, random: Random) -> str:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{transport}"
    camera = RtspCamera(damage=random.choice((0.0005, 0.005)))
    proxy = FlippingProxy(camera.port, random.choice((1e-4, 1e-3)), random)
    try:
        if transport == "tcp":  # what UDP sends goes past a proxy
            return _recovers(camera.address(port=proxy.port), proxy, random)
        with live(camera.address(), timeout_s=10) as loop:
            for _ in range(6):
                loop.go_on()
        return "goes on"
    finally:
        proxy.close()
        camera.down()


def clock_jumps(folder: Path, random: Random) -> str:
    """Let the wall clock of a demo jump back and forth by up to days, at every look."""
    from edgehr.cli.main import main

    really, lines = time.time, folder / "clock.jsonl"
    time.time = lambda: really() + random.uniform(-1e6, 1e6)
    with _served() as camera, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        command = [
            "demo",
            "--threads",
            "1",
            "--detector",
            "none",
            "--source",
            camera.address,
            "--frames",
            str(CLOCK_FRAMES),
        ]
        status = main([*command, "--jsonl", str(lines), "--serve", "0"])
    if status:
        raise BrokenPromiseError(f"ended with {status}: {said.getvalue()[-300:]}")
    times = [json.loads(line)["time_s"] for line in lines.read_text().splitlines()]
    if len(times) != CLOCK_FRAMES or times != sorted(times):
        raise BrokenPromiseError(f"{len(times)} frames, in order: {times == sorted(times)}")
    return "goes on"


def _video(path: Path, frames: int) -> Path:
    from tests.calib.pictures import picture, video

    return video(path, [picture(number, 160, 128) for number in range(frames)])
