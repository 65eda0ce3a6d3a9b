"""One viewer's connection.

A WebSocket, and not the simpler multipart JPEG, for three reasons. The page asks for each picture (`next`), so that a
slow network or phone gets fewer pictures and never old ones: with a pushed stream, seconds of them pile up in the
buffers on the way. Picture and figures arrive together. And a page can tell a lost connection from a still picture
(`ping`, answered with `pong`) and from a stream that has ended (`ended`, the last message): for an image that stopped
growing, browsers report neither.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from edgehr.live.web.feed import Feed

if TYPE_CHECKING:
    from aiohttp import web

# Two pictures on the way hide the network's round trip; more would only make them older.
MAX_REQUESTS = 2


async def serve_viewer(socket: web.WebSocketResponse, feed: Feed) -> None:
    """Send the newest frame each time the client asks, until it goes or the stream ends."""
    viewer = _Viewer(socket, feed)
    tasks = [asyncio.create_task(work()) for work in (viewer.listen, viewer.send, viewer.say_ended)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with suppress(ConnectionError):  # it went in the middle of a message
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Viewer:
    def __init__(self, socket: web.WebSocketResponse, feed: Feed) -> None:
        self._socket, self._feed = socket, feed
        self._requests = 0
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()

    async def listen(self) -> None:
        """Count what the client asks for; a client that does not keep to the two words is let go."""
        async for message in self._socket:
            if message.data == "next":
                self._requests = min(self._requests + 1, MAX_REQUESTS)
                self._wake.set()
            elif message.data == "ping":
                async with self._sending:
                    await self._socket.send_str("pong")
            else:
                return

    async def send(self) -> None:
        """Send one picture for each that was asked for, every one newer than the last."""
        sent = 0
        while True:
            while not self._requests:
                self._wake.clear()
                await self._wake.wait()
            packet = await self._feed.newer(sent)
            self._requests -= 1
            async with self._sending:
                await self._socket.send_bytes(packet.data)
            sent = packet.number

    async def say_ended(self) -> None:
        """Wait for the end of the stream and say so; whoever does not read what was sent before never hears it."""
        await self._feed.ended.wait()
        async with self._sending:
            await self._socket.send_str("ended")
