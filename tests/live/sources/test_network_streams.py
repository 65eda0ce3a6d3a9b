"""Streams from the network, by a camera on loopback."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgehr.errors import EdgehrError
from edgehr.live.sources import Frame, Source, open_source
from edgehr.live.sources.addresses import find_device, hide_secrets
from tests.live.sources.test_sources import wait_for, write_video
from tests.live.streams import MjpegServer, number_in

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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


@pytest.mark.usefixtures("short_pauses")
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


@pytest.mark.usefixtures("short_pauses")
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
