"""From the pipeline's thread to the viewers: the newest frame only, encoded once and only when somebody asks."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.live.sources import Frame
from edgehr.opencv import cv2

# A page shows no more, and a 4K picture would take several times the time and the network.
MAX_SIDE = 1920


@dataclass(frozen=True)
class Packet:
    """One message to a viewer: the length of the status (4 bytes, big endian), the status as JSON, a JPEG.

    Picture and figures travel together, so that a page never shows one frame with the figures of another.

    Attributes:
        number: Counts published frames, from 1.
        data: The message.
        start: Where in it the JPEG begins.
    """

    number: int
    data: bytes
    start: int

    @property
    def jpeg(self) -> bytes:
        """Cut out the picture."""
        return self.data[self.start :]


class Feed:
    """Holds the newest frame, and its encoded form while it is asked for. Lives in a running event loop.

    Args:
        jpeg_quality: 1 to 100.
        max_fps: How many pictures are encoded in a second at most.

    Attributes:
        ended: Set once there will be no later frame.
    """

    def __init__(self, jpeg_quality: int, max_fps: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._quality, self._interval = jpeg_quality, 1 / max_fps
        self._latest: tuple[int, Frame, Mapping[str, Any]] | None = None
        self._packet: Packet | None = None
        self._waiting: set[asyncio.Future[Packet]] = set()
        self._asked, self._published = asyncio.Event(), asyncio.Event()
        self._armed = False
        self._due = 0.0
        self.ended = asyncio.Event()

    def publish(self, frame: Frame, status: Mapping[str, Any]) -> None:
        """Take a frame, from any one thread. Without a viewer that waits, this keeps two references and returns."""
        self._latest = ((self._latest[0] if self._latest else 0) + 1, frame, status)
        # Set by the loop before it looks at `_latest`, read here after that was written: no frame is slept through.
        if self._armed:
            self._armed = False
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._published.set)

    @property
    def status(self) -> Mapping[str, Any] | None:
        """Return the newest frame's status; None before the first."""
        return self._latest[2] if self._latest else None

    async def newer(self, number: int) -> Packet:
        """Wait for a frame later than a number, and return the newest, encoded."""
        packet = self._packet
        if packet and packet.number > number and self._latest and packet.number == self._latest[0]:
            return packet
        future: asyncio.Future[Packet] = self._loop.create_future()
        self._waiting.add(future)
        self._asked.set()
        try:
            return await future
        finally:
            self._waiting.discard(future)

    async def run(self) -> None:
        """Encode while somebody waits, one picture at a time, in a thread of its own; until cancelled."""
        with ThreadPoolExecutor(1, thread_name_prefix="edgehr-web-jpeg") as encoder:
            while True:
                await self._asked.wait()
                await self._wait_for_newer()
                await self._wait_until_due()
                assert self._latest  # noqa: S101 - `_wait_for_newer` saw it
                packet = await self._loop.run_in_executor(encoder, encode, *self._latest, self._quality)
                self._packet = packet
                self._asked.clear()
                for future in self._waiting:
                    if not future.done():
                        future.set_result(packet)

    async def _wait_for_newer(self) -> None:
        seen = self._packet.number if self._packet else 0
        while True:
            self._published.clear()
            self._armed = True
            if self._latest and self._latest[0] > seen:
                self._armed = False
                return
            await self._published.wait()

    async def _wait_until_due(self) -> None:
        """Keep to the highest rate on average: after a frame that came late, the next one may come early."""
        await asyncio.sleep(max(self._due - time.monotonic(), 0))
        self._due = max(self._due, time.monotonic() - self._interval) + self._interval


def encode(number: int, frame: Frame, status: Mapping[str, Any], quality: int) -> Packet:
    """Make a frame and its status into a message.

    Args:
        number: The message's number.
        frame: Its image is (H, W, 3) uint8 BGR.
        status: Plain JSON data; ``age_ms``, the time since the frame was captured, is added.
        quality: 1 to 100, of the JPEG.
    """
    _, jpeg = cv2.imencode(".jpg", _fit(frame.image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    age = 1000 * (time.monotonic() - frame.time_s) if frame.time_s else None
    head = as_json({**status, "age_ms": age}).encode()
    return Packet(number, struct.pack(">I", len(head)) + head + jpeg.tobytes(), 4 + len(head))


def as_json(value: Any) -> str:
    """Write JSON that a browser reads: numbers that are not finite become null."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fit(image: NDArray[np.uint8]) -> NDArray[Any]:
    height, width = image.shape[:2]
    share = MAX_SIDE / max(height, width)
    if share >= 1:
        return image
    size = max(round(width * share), 1), max(round(height * share), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
