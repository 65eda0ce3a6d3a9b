"""What tests of the page share: a publisher, and clients that speak to it over real connections."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import aiohttp
import cv2
import numpy as np

from edgehr.live.sources import Frame
from edgehr.live.web import WebServer

ROUTES = ("", "static/app.js", "picture.jpg", "status.json", "live", "nothing-here")
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "A" * 22 + "==",
}
Look = Callable[[aiohttp.ClientSession, str], Awaitable[Any]]


def frame(number: int, size: tuple[int, int] = (120, 160), noise: bool = False) -> Frame:
    """A picture as gray as its number says, or one that does not compress."""
    image = np.full((*size, 3), 2 * (number % 120), np.uint8)
    if noise:
        image = np.random.default_rng(number).integers(0, 255, (*size, 3), np.uint8)
    return Frame(f"{number}", image, number, time.monotonic())


def figures(number: int) -> dict[str, Any]:
    return {"frame": number, "picture": number % 20}


@contextmanager
def publishing(
    web: WebServer, fps: float = 100, status: Callable[[int], dict[str, Any]] = figures, **looks: Any
) -> Iterator[list[float]]:
    """Publish from a thread, as the pipeline does; the list gets how long each call took, seconds."""
    stop, took = threading.Event(), [0.0]
    pictures = [frame(number, **looks) for number in range(20)]

    def run() -> None:
        for number in itertools.count():
            if stop.wait(1 / fps):
                return
            started = time.perf_counter()
            web.publish(pictures[number % 20], status(number))
            took.append(time.perf_counter() - started)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def get(url: str, route: str = "", **headers: str) -> tuple[int, str, Any]:
    """Status, body as text, headers."""
    base, _, query = url.partition("?")
    request = urllib.request.Request(f"{base}{route}{'?' if query else ''}{query}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(errors="replace"), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def port_of(url: str) -> int:
    return int(url.split("/")[2].rpartition(":")[2])


def connect(web: WebServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(web.url)), timeout=10)


def handshake(web: WebServer) -> bytes:
    head = {"Host": f"127.0.0.1:{port_of(web.url)}", **UPGRADE}
    return "\r\n".join(["GET /live HTTP/1.1", *(f"{key}: {value}" for key, value in head.items()), "", ""]).encode()


def receive(client: socket.socket) -> bytes:
    """Everything that comes until nothing has come for as long as the socket waits."""
    received = b""
    with suppress(TimeoutError):
        while part := client.recv(1 << 20):
            received += part
    return received


ASK = bytes([0x81, 0x84, 0, 0, 0, 0]) + b"next"  # a masked text message; the mask is zero


def browse(web: WebServer, *looks: Look) -> list[Any]:
    """Run clients side by side."""

    async def run() -> list[Any]:
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(look(session, web.url) for look in looks))

    return asyncio.run(run())


def watcher(count: int, pause: float = 0) -> Look:
    """A client that takes a number of pictures, one after the other."""

    async def look(session: aiohttp.ClientSession, url: str) -> list[tuple[dict[str, Any], float]]:
        seen = []
        async with session.ws_connect(f"{url}live") as live:
            for _ in range(count):
                await live.send_str("next")
                seen.append(unpack(await live.receive_bytes(timeout=10)))
                await asyncio.sleep(pause)
        return seen

    return look


def unpack(data: bytes) -> tuple[dict[str, Any], float]:
    """Status, and how gray the picture is."""
    (length,) = struct.unpack(">I", data[:4])
    image = cv2.imdecode(np.frombuffer(data[4 + length :], np.uint8), cv2.IMREAD_COLOR)
    return json.loads(data[4 : 4 + length]), float(image.mean())


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
