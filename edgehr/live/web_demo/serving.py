"""Serving the folder, with the headers that threads need."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from edgehr.errors import MissingDependencyError
from edgehr.live.web.address import is_loopback
from edgehr.live.web.guard import HEADERS as LIVE_HEADERS
from edgehr.live.web.guard import Guard

try:
    from aiohttp import web
except ImportError as error:
    raise MissingDependencyError(f"serving the page needs aiohttp ({error}): pip install 'edgehr[web]'") from error

# Those of the live page, and what it has not: WebAssembly, pictures and videos that the user chose, and the isolation
# from other pages that browsers ask for before they give memory that threads share.
HEADERS = {
    **LIVE_HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
        "img-src 'self' blob:; media-src 'self' blob: mediastream:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
# Python knows them from the machine's tables, which may lack them.
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}


def serve_folder(folder: Path, bound: socket.socket) -> None:
    """Serve a folder until Ctrl-C or a signal that ends the process.

    On the loopback, only requests that call it by such a name are answered, as on the live page.

    Args:
        folder: Holds `index.html`.
        bound: The listening socket.
    """
    web.run_app(make_app(folder, is_loopback(bound)), sock=bound, print=None, access_log=None, handle_signals=False)


def make_app(folder: Path, loopback: bool, headers: dict[str, str] = HEADERS) -> web.Application:
    """Make the application that serves a folder."""
    guard = Guard(None, loopback, "")

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        suffix = Path(request.path).suffix
        if response.status == 200 and suffix in TYPES:
            response.content_type = TYPES[suffix]
        response.headers.update(headers)

    async def page(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(folder / "index.html")

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        refused = guard.refusal(request.headers, None, None)
        return web.Response(status=refused[0], text=refused[1] + "\n") if refused else await handler(request)

    app = web.Application(middlewares=[check], client_max_size=1024)
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/", page)
    app.router.add_static("/", folder)
    return app
