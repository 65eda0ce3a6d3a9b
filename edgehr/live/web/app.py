"""The routes: the page and its files, the live connection, and picture and status for scripts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

from edgehr.errors import MissingDependencyError
from edgehr.live.web.feed import Feed, as_json
from edgehr.live.web.guard import HEADERS, Guard
from edgehr.live.web.viewer import serve_viewer

try:
    from aiohttp import web
    from aiohttp.http_exceptions import HttpProcessingError
except ImportError as error:
    raise MissingDependencyError(f"the web page needs aiohttp ({error}): pip install 'edgehr[web]'") from error

STATIC = Path(__file__).parent / "static"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FIRST_PICTURE_S = 5.0
# A client that answers nothing for one and a half times this is gone, and its place is free.
HEARTBEAT_S = 10.0

HOP = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=./">
<title>edgehr live</title>
<a href="./">Go on to the live picture</a>
</html>
"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class App:
    """Answers requests.

    Args:
        feed: Where pictures come from.
        guard: Who may see them.
        max_clients: How many pages (and scripts that ask for a picture) at a time.
    """

    def __init__(self, feed: Feed, guard: Guard, max_clients: int) -> None:
        self._feed, self._guard = feed, guard
        self._clients, self._max_clients = 0, max_clients
        self._viewers: set[asyncio.Future[None]] = set()
        # 100 kB, read once: no path of a request ever gets to the disk.
        self._files = {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in STATIC.rglob("*.*")}

    def build(self) -> web.Application:
        """Make the application for a runner."""
        app = web.Application(middlewares=[self._check], client_max_size=1024)
        app.on_response_prepare.append(self._add_headers)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/static/{name:.+}", self._file),
                web.get("/live", self._live, allow_head=False),
                web.get("/picture.jpg", self._picture, allow_head=False),
                web.get("/status.json", self._status),
            ]
        )
        return app

    async def wait_for_viewers(self, timeout_s: float) -> None:
        """Wait until nobody watches, but no longer than the timeout."""
        if self._viewers:
            await asyncio.wait(self._viewers, timeout=timeout_s)

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        cookie = request.cookies.get(self._guard.cookie)
        refused = self._guard.refusal(request.headers, request.query.get("token"), cookie)
        return text(*refused) if refused else await handler(request)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get("token")
        if not self._guard.knows(token):
            return web.Response(body=self._files["index.html"], content_type="text/html", charset="utf-8")
        # The token moves into a cookie and out of the address bar. By a page that goes on by itself and not by an HTTP
        # redirect: after one, a browser that came here by a link from elsewhere would keep a strict cookie to itself.
        response = web.Response(text=HOP, content_type="text/html", charset="utf-8")
        response.set_cookie(self._guard.cookie, token or "", httponly=True, samesite="Strict", path="/")
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        kind = TYPES.get(Path(name).suffix)
        if name not in self._files or kind is None:
            return text(HTTPStatus.NOT_FOUND, "No such file.")
        return web.Response(body=self._files[name], content_type=kind, charset="utf-8")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if self._clients >= self._max_clients:
            return self._full()
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return text(HTTPStatus.UPGRADE_REQUIRED, "This address takes WebSocket connections.")
        self._clients += 1
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._viewers.add(gone)
        try:
            socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=64, compress=False, timeout=1.0)
            await socket.prepare(request)
            await serve_viewer(socket, self._feed)
            await socket.close()
            return socket
        except ConnectionError:  # it went before it was answered; nobody reads this
            return text(HTTPStatus.BAD_REQUEST, "The connection was lost.")
        finally:
            self._clients -= 1
            self._viewers.discard(gone)
            gone.set_result(None)

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        if self._clients >= self._max_clients:
            return self._full()
        self._clients += 1
        try:
            packet = await asyncio.wait_for(self._feed.newer(0), FIRST_PICTURE_S)
        except asyncio.TimeoutError:  # Python 3.10 has it apart from the built-in one
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "There is no picture yet.")
        finally:
            self._clients -= 1
        return web.Response(body=packet.jpeg, content_type="image/jpeg")

    async def _status(self, request: web.Request) -> web.StreamResponse:
        viewers = {"viewers": self._clients, "max_viewers": self._max_clients}
        body = as_json({**(self._feed.status or {}), **viewers})
        return web.Response(text=body, content_type="application/json")

    def _full(self) -> web.Response:
        return text(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"All {self._max_clients} places for viewers are taken: close a page elsewhere.",
        )


def text(status: int, message: str) -> web.Response:
    """Answer with one line of plain text."""
    return web.Response(status=status, text=message + "\n")


def logger() -> logging.Logger:
    """Log failures of handlers. What strangers send that is no HTTP is answered with 400 and not worth a line."""
    log = logging.getLogger("edgehr.live.web")
    log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
