"""The page's server, over real connections on the loopback."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.live.web import WebServer, feed
from tests.live.web.clients import (
    ASK,
    browse,
    connect,
    frame,
    get,
    handshake,
    port_of,
    publishing,
    receive,
    wait_until,
    watcher,
)


def test_picture_and_figures_move_together_for_every_client(web: WebServer) -> None:
    with publishing(web):
        for seen in browse(web, watcher(30), watcher(30), watcher(8, pause=0.05)):
            numbers = [status["frame"] for status, _ in seen]
            assert numbers == sorted(set(numbers))
            for status, gray in seen:
                assert gray == pytest.approx(2 * status["picture"], abs=2)
                assert 0 <= status["age_ms"] < 60_000


def test_one_picture_and_the_status_for_scripts(web: WebServer) -> None:
    web.publish(frame(7), {"fps": float("nan"), "frame": 7, "people": np.int64(2), "board": None})
    status = {"fps": None, "frame": 7, "people": 2, "board": None, "viewers": 0, "max_viewers": 8}
    assert json.loads(get(web.url, "status.json")[1]) == status
    with urllib.request.urlopen(f"{web.url}picture.jpg") as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR).mean() == pytest.approx(14, abs=1)


def test_encodes_once_for_all_and_only_for_somebody(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    threads: set[str] = set()
    encode = feed.encode

    def counting(number: int, *rest: Any) -> feed.Packet:
        encoded.append(number)
        threads.add(threading.current_thread().name.rpartition("_")[0])
        return encode(number, *rest)

    monkeypatch.setattr(feed, "encode", counting)
    with publishing(web, fps=15) as took:
        wait_until(lambda: len(took) > 5)
        assert not encoded
        browse(web, *[watcher(10)] * 4)
        assert 10 <= len(encoded) == len(set(encoded)) < 20
        assert threads == {"edgehr-web-jpeg"}
        before = len(took), len(encoded)
        wait_until(lambda: len(took) > before[0] + 5)
        assert len(encoded) <= before[1] + 1


def test_keeps_to_the_highest_rate() -> None:
    with WebServer(port=0, max_fps=20) as web, publishing(web, fps=200):
        started = time.monotonic()
        browse(web, watcher(21))
        assert 0.9 < time.monotonic() - started < 5


def test_a_client_that_does_not_read_slows_nobody_and_piles_up_nothing(web: WebServer) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.settimeout(1)
    slow.connect(("127.0.0.1", port_of(web.url)))
    with slow, publishing(web, fps=50, size=(480, 640), noise=True) as took:
        slow.sendall(handshake(web) + 10 * ASK)
        wait_until(lambda: json.loads(get(web.url, "status.json")[1])["viewers"] == 1)
        (seen,) = browse(web, watcher(40))
        assert len(seen) == 40
        assert np.median(took) < 0.02
        assert max(took) < 1  # another thread may hold the interpreter; sending 0.4 MB to nobody takes for ever
        received = receive(slow)
        assert received.startswith(b"HTTP/1.1 101")
        # It asked for ten in one go and gets what counts as asked for, out of the fifty and more that were shown.
        assert 2 <= received.count(b"\xff\xd8\xff\xe0") <= 4


def test_close_ends_clients_and_threads_at_once() -> None:
    before = set(threading.enumerate())
    web = WebServer(port=0)
    clients = [connect(web) for _ in range(3)]
    with publishing(web, size=(480, 640), noise=True):
        for client in clients[1:]:
            client.sendall(handshake(web) + 3 * ASK)
        clients[2].recv(1000)
        time.sleep(0.3)
        assert len(set(threading.enumerate()) - before) >= 3
        started = time.monotonic()
        web.close()
        assert time.monotonic() - started < 1
    assert set(threading.enumerate()) == before
    web.publish(frame(0), {})
    web.close()
    with pytest.raises(OSError, match="refused"):
        connect(web)
    for client in clients:
        client.close()


def test_every_viewer_is_told_that_the_stream_has_ended(web: WebServer) -> None:
    closing = threading.Timer(0.5, web.close)

    async def hear(session: aiohttp.ClientSession, asks: bool) -> tuple[int, list[str], int | None]:
        texts, pictures = [], 0
        async with session.ws_connect(f"{web.url}live") as live:
            if asks:
                await live.send_str("next")
            async for message in live:
                if message.type is aiohttp.WSMsgType.TEXT:
                    texts.append(message.data)
                else:
                    pictures += 1
                    await live.send_str("next")
        return pictures, texts, live.close_code

    with publishing(web):
        closing.start()
        watching, paused = browse(
            web, lambda session, _: hear(session, asks=True), lambda session, _: hear(session, asks=False)
        )
        closing.join()
    assert watching[0] > 0
    assert watching[1:] == (["ended"], aiohttp.WSCloseCode.OK)
    assert paused == (0, ["ended"], aiohttp.WSCloseCode.OK)


def test_a_failure_of_the_server_is_no_end_of_the_stream(web: WebServer) -> None:
    async def hear(session: aiohttp.ClientSession, url: str) -> list[aiohttp.WSMessage]:
        async with session.ws_connect(f"{url}live") as live:
            await live.send_str("next")
            web.publish(frame(0), {"not": object()})
            return [message async for message in live]

    assert browse(web, hear) == [[]]


def test_publishing_costs_nothing_while_nobody_watches(web: WebServer) -> None:
    picture, status = frame(0, (1080, 1920)), {"fps": 30.0}
    times = []
    for _ in range(2000):
        started = time.perf_counter()
        web.publish(picture, status)
        times.append(time.perf_counter() - started)
    assert np.median(times) < 50e-6


def test_large_pictures_are_scaled_for_the_page() -> None:
    packet = feed.encode(1, frame(3, (2160, 3840)), {}, 80)
    assert cv2.imdecode(np.frombuffer(packet.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (1080, 1920, 3)
    assert packet.data.endswith(packet.jpeg)


def test_a_failure_of_the_thread_reaches_the_pipeline(web: WebServer) -> None:
    web.publish(frame(0), {"not": object()})
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        get(web.url, "picture.jpg")
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "edgehr-web"])
    with pytest.raises(RuntimeError, match="has failed") as raised:
        web.publish(frame(0), {})
    assert isinstance(raised.value.__cause__, TypeError)


def test_what_cannot_be_served(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, message in (
        ({"port": port_of(web.url)}, "is taken: choose another"),
        ({"host": "192.0.2.1", "port": 0}, r"192\.0\.2\.1: not an address of this machine"),
        ({"host": "no.such.host.invalid", "port": 0}, "not an address of this machine"),
        ({"port": 0, "token": "short"}, "8 characters"),
        ({"port": 0, "max_clients": 0}, "at least 1 client"),
        ({"port": 0, "jpeg_quality": 101}, "quality from 1 to 100"),
        ({"port": 0, "max_fps": 0}, "rate above 0"),
    ):
        with pytest.raises(EdgehrError, match=message):
            WebServer(**arguments)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "edgehr.live.web.app")
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgehr\[web\]'"):
        WebServer(port=0)
