"""The page's server, in a thread of its own beside the pipeline."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgehr.errors import EdgehrError
from edgehr.live.sources import Frame
from edgehr.live.web.address import LOOPBACK, is_loopback, listen, page_url
from edgehr.live.web.feed import Feed
from edgehr.live.web.guard import Guard

if TYPE_CHECKING:
    from aiohttp import web

_LOG = logging.getLogger("edgehr.live.web")

# Connections without a request or between requests; browsers open some in advance.
IDLE_S = 15.0
SPARE_CONNECTIONS = 32
# For the first request to be there, whole: aiohttp waits for ever, so that a few silent clients would take every place.
FIRST_REQUEST_S = 10.0
# For telling viewers that the stream has ended, before their connections are cut.
FAREWELL_S = 0.4


class WebServer:
    """Serves the live picture and its figures to browsers, from construction until `close`.

    The page is for this machine alone unless another host is asked for; then it needs a token, which is part of `url`.
    The connection is not encrypted: through a network that is not your own, use an SSH tunnel to the loopback.

    Args:
        host: Address to listen on; ``0.0.0.0`` is every interface.
        port: 0 takes a free one.
        token: What a browser must know to see anything. None: none on the loopback, else a new random one.
        max_clients: How many pages at a time.
        jpeg_quality: 1 to 100.
        max_fps: How many pictures a second at most.

    Attributes:
        url: What to open in a browser, with the token where one is needed.
        token: The token, None where none is needed.

    Raises:
        MissingDependencyError: aiohttp is not installed.
        EdgehrError: The port is taken, the host is not this machine's, or a setting makes no sense.
    """

    def __init__(
        self,
        host: str = LOOPBACK,
        port: int = 8080,
        token: str | None = None,
        max_clients: int = 8,
        jpeg_quality: int = 80,
        max_fps: float = 30,
    ) -> None:
        _check_settings(token, max_clients, jpeg_quality, max_fps)
        import edgehr.live.web.app  # noqa: F401 - says here and now that aiohttp is missing

        self._socket = listen(host, port)
        loopback = is_loopback(self._socket)
        self.token = token or (None if loopback else secrets.token_urlsafe(24))
        self.url = page_url(host, self._socket, self.token)
        self._guard = Guard(self.token, loopback, f"edgehr_{self._socket.getsockname()[1]}")
        self._max_clients, self._quality, self._max_fps = max_clients, jpeg_quality, max_fps
        self._ready: Future[tuple[Feed, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edgehr-web", daemon=True)
        self._thread.start()
        self._feed, self._loop, self._stop = self._ready.result()
        _LOG.info(
            "the page's server listens on %s, port %d, %s a token",
            *self._socket.getsockname()[:2],
            "with" if self.token else "without",
        )

    def publish(self, frame: Frame, status: Mapping[str, Any]) -> None:
        """Show a frame, from the pipeline's thread. Never waits: who is not ready for this frame gets a later one.

        Neither the image nor the status is copied: do not change them afterwards.

        Args:
            frame: Its image is (H, W, 3) uint8 BGR.
            status: Plain JSON data: ``model``, ``weights``, ``runtime``, ``source`` (texts), ``people``, ``fps``,
                ``dropped``, ``frame`` (numbers), ``stages`` (of each stage ``p50`` and ``p95``, ms) and ``board``
                (``power_mode``, ``clocks``, or None). The page shows what is there.

        Raises:
            RuntimeError: The server has failed; a closed one takes frames and shows them to nobody.
        """
        if self._error is not None:
            raise RuntimeError("the web page's server has failed") from self._error
        self._feed.publish(frame, status)

    def close(self) -> None:
        """Tell viewers that the stream has ended, then end all connections and the thread, in a second at most.

        Closing again does nothing.
        """
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> WebServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # the constructor or the next `publish` raises it
            self._error = error
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._socket.close()

    async def _serve(self) -> None:
        from aiohttp import web

        from edgehr.live.web.app import App, logger

        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        feed = Feed(self._quality, self._max_fps)
        app = App(feed, self._guard, self._max_clients)
        # A handler ends with its connection; no access log, which would hold the token.
        limits: dict[str, Any] = {"handler_cancellation": True, "shutdown_timeout": 0.1, "keepalive_timeout": IDLE_S}
        runner = web.AppRunner(app.build(), access_log=None, logger=logger(), **limits)
        await runner.setup()
        assert runner.server  # noqa: S101 - `setup` made it
        factory = _bounded(runner.server, self._max_clients + SPARE_CONNECTIONS)
        listener = await loop.create_server(factory, sock=self._socket)
        tasks = [asyncio.create_task(feed.run()), asyncio.create_task(stop.wait())]
        self._ready.set_result((feed, loop, stop))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            listener.close()
            if stop.is_set():  # and not where the server itself has failed
                feed.ended.set()
                await app.wait_for_viewers(FAREWELL_S)
            for connection in runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()  # waits for nobody to read what is on the way
            await runner.cleanup()


def _bounded(server: web.Server, max_connections: int) -> Any:
    """Make a protocol factory that refuses connections beyond a number, before any memory is spent on them.

    A connection without a whole request after `FIRST_REQUEST_S` is cut.
    """

    def connect() -> asyncio.Protocol:
        if len(server.connections) >= max_connections:
            return _Refusal()
        made = server()
        asyncio.get_running_loop().call_later(FIRST_REQUEST_S, _cut_silent, made)
        return made

    return connect


def _cut_silent(connection: web.RequestHandler) -> None:
    if not getattr(connection, "_request_count", 1) and connection.transport is not None:
        connection.transport.abort()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - TCP's is
        transport.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        transport.close()


def _check_settings(token: str | None, max_clients: int, jpeg_quality: int, max_fps: float) -> None:
    if token is not None and len(token) < 8:
        raise EdgehrError("the page's token must have 8 characters or more")
    if max_clients < 1 or not 1 <= jpeg_quality <= 100 or not max_fps > 0:
        raise EdgehrError(
            f"the page takes at least 1 client, a JPEG quality from 1 to 100 and a rate above 0, "
            f"not {max_clients}, {jpeg_quality} and {max_fps}"
        )
