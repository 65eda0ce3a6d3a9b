"""Clients of the demo's page that should get nothing, take everything, or break it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from urllib.parse import quote

from edgehr.live.web import WebServer, server
from tests.campaign import BrokenPromiseError
from tests.campaign.mutations import damage
from tests.live.web.clients import ASK, ROUTES, UPGRADE, browse, connect, get, handshake, port_of, publishing, watcher

TOKEN = "the-right-token-of-this-page"  # noqa: S105 - of the tests' own page
VIEWERS = 200
TRAVERSALS = (
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..\\",
    "..%5c",
    "....//",
    "..;/",
    "%c0%ae%c0%ae/",
    ".%00./",
    "//",
)
TARGETS = ("etc/passwd", "app.py", "guard.py", "static/app.js", "index.html%00", "")


@contextmanager
def pages() -> Iterator[tuple[WebServer, WebServer]]:
    """Run a page for this machine alone, and one with a token, both with pictures."""
    before, server.FIRST_REQUEST_S = server.FIRST_REQUEST_S, 0.6
    try:
        with (
            WebServer(port=0) as plain,
            WebServer(port=0, token=TOKEN) as guarded,
            publishing(plain, fps=20),
            publishing(guarded, fps=20),
        ):
            yield plain, guarded
    finally:
        server.FIRST_REQUEST_S = before


def _raw(web: WebServer, data: bytes, wait: float = 2.0) -> bytes:
    """Send bytes, and return what comes back until the server closes or is silent."""
    answer = b""
    with connect(web) as client, suppress(OSError):
        client.settimeout(wait)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while part := client.recv(1 << 16):
            answer += part
    return answer


def _status(answer: bytes) -> int:
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") and answer[9:12].isdigit() else 0


def _expect(status: int, wanted: tuple[int, ...], what: str) -> str:
    if status not in wanted:
        raise BrokenPromiseError(f"{what}: answered with {status}")
    return "refused"


def alive(web: WebServer, token: str = "") -> None:
    """Raise BrokenPromiseError where a proper client is not served, in five seconds at most."""
    end = time.monotonic() + 5
    status = 0
    while time.monotonic() < end:
        with suppress(OSError):
            status = get(f"{web.url.partition('?')[0]}{f'?token={token}' if token else ''}", "status.json")[0]
        if status == 200:
            return
        time.sleep(0.05)
    raise BrokenPromiseError(f"a proper client is not served any more: {status}")


def token(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Ask without the token, or with one that is nearly right."""
    wrong = chance.choice(
        ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "x" * 5000, "%00", TOKEN + "%00", "é", TOKEN[::-1])
    )
    base, route = guarded.url.partition("?")[0], chance.choice(ROUTES)
    headers = dict(UPGRADE) if chance.random() < 0.3 else {}
    query = ""
    if chance.random() < 0.5:
        query = f"?token={quote(wrong, safe='%')}"
    elif wrong.isascii():
        headers["Cookie"] = f"edgehr_{port_of(base)}={wrong}"
    if chance.random() < 0.3:
        headers |= {"Authorization": f"Bearer {TOKEN}", "X-Token": TOKEN}
    status, body, _ = get(base + query, route, **headers)
    if TOKEN in body:
        raise BrokenPromiseError("the answer has the token in it")
    return _expect(status, (401, 400), f"{route} {query} {headers}")


def origin(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Ask as the page of another site, or by another name of this machine."""
    port = port_of(plain.url)
    names = (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        f"127.0.0.1@evil.example:{port}",
        "null",
    )
    name = chance.choice(names)
    headers = {"Host": name} if chance.random() < 0.4 and name != "null" else {"Origin": f"http://{name}"}
    if chance.random() < 0.5:
        headers |= UPGRADE
    status, _, _ = get(plain.url, chance.choice(ROUTES), **headers)
    return _expect(status, (403, 400), str(headers))


def traversal(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Ask for files elsewhere."""
    climb = chance.choice(TRAVERSALS) * chance.randrange(1, 9)
    path = chance.choice(("/", "/static/", "/static/vendor/", "static/")) + climb + chance.choice(TARGETS)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin1")
    answer = _raw(plain, request)
    if b"root:" in answer or b"import" in answer.partition(b"\r\n\r\n")[2][:300]:
        raise BrokenPromiseError(f"{path}: gave a file")
    own = path in ("/", "/static/app.js") or _status(answer) == 200  # what normalizes to a file of the page's own
    if own and b"<!doctype html" not in answer.lower() and b"use strict" not in answer and _status(answer) == 200:
        raise BrokenPromiseError(f"{path}: gave something")
    return "refused" if not own else "the page's own file"


def oversized(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Send more than anybody needs."""
    size = chance.choice((9_000, 70_000, 1_000_000))
    line, host = "GET / HTTP/1.1\r\n", "Host: localhost\r\n"
    ways = {
        "address": f"GET /{'a' * size} HTTP/1.1\r\n{host}\r\n",
        "query": f"GET /?token={'a' * size} HTTP/1.1\r\n{host}\r\n",
        "header": f"{line}{host}X: {'a' * size}\r\n\r\n",
        "cookie": f"{line}{host}Cookie: {'a=b; ' * (size // 5)}\r\n\r\n",
        "headers": f"{line}{host}" + "".join(f"X-{n}: y\r\n" for n in range(size // 8)) + "\r\n",
        "name": f"{line}{host}{'a' * size}: y\r\n\r\n",
        "method": f"{'G' * size} / HTTP/1.1\r\n{host}\r\n",
        "body": f"POST / HTTP/1.1\r\n{host}Content-Length: {size}\r\n\r\n{'a' * size}",
        "chunks": f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n"
        + f"{size:x}\r\n{'a' * size}\r\n0\r\n\r\n",
        "length": f"POST / HTTP/1.1\r\n{host}Content-Length: {10**30}\r\n\r\n",
    }
    way = chance.choice(list(ways))
    answer = _raw(plain, ways[way].encode())
    return _expect(_status(answer), (0, 400, 404, 405, 413, 414, 431), way)


def messages(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Talk on the live connection in a way that the page does not."""
    sent = {
        "too long": b"\x81\xfe\x10\x00\x00\x00\x00\x00" + b"a" * 4096,
        "huge": b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4) + b"a" * 1000,
        "not masked": b"\x81\x04next",
        "reserved": b"\xf1\x84" + bytes(4) + b"next",
        "other words": b"\x81\x84" + bytes(4) + b"stop",
        "no text": b"\x81\x84" + bytes(4) + b"\xff\xfe\xff\xfe",
        "pings": (b"\x89\x80" + bytes(4)) * 500,
        "asks a lot": ASK * 500,
        "pieces": (b"\x01\x81" + bytes(4) + b"a") * 300,
        "damaged": damage(ASK * 4, chance),
    }
    way = chance.choice(list(sent))
    _raw(plain, handshake(plain) + sent[way], wait=0.3)
    return "survived"


def noise(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Send requests that are damaged."""
    request = damage(handshake(plain) + ASK, chance) if chance.random() < 0.8 else chance.randbytes(300)
    _raw(plain, request, wait=0.3)
    return "survived"


def slow(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Take every place with requests that never end, a byte at a time; a proper client is served all the same."""
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "
    many = []
    with suppress(OSError):
        for _ in range(chance.choice((40, 60))):
            many.append(connect(plain))
    began = time.monotonic()
    sent = 0
    while time.monotonic() - began < 1.5:
        for client in many:
            with suppress(OSError):
                client.sendall(head[sent : sent + 1] or b"a")
        sent += 1
        time.sleep(0.05)
    try:
        alive(plain)
    finally:
        for client in many:
            client.close()
    return "served beside it"


def viewers(plain: WebServer, guarded: WebServer, chance: Random) -> str:
    """Watch with two hundred pages at once: as many as there are places get pictures, the others a refusal."""

    async def look(session: object, url: str) -> bool:
        try:
            await asyncio.wait_for(watcher(3)(session, url), 20)  # type: ignore[arg-type]
        except Exception:  # refused, in one of the ways in which aiohttp says so
            return False
        return True

    seen = sum(browse(plain, *[look] * VIEWERS))
    if not seen >= 1:
        raise BrokenPromiseError("nobody saw a picture")
    return "some served, others refused" if seen < VIEWERS else "all served"


CLIENTS = {
    "token": token,
    "origin": origin,
    "traversal": traversal,
    "oversized": oversized,
    "messages": messages,
    "noise": noise,
    "slow": slow,
    "viewers": viewers,
}
