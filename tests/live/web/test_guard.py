"""Who gets what from the page's server, and how much: tokens, foreign pages, limits, rude clients."""

from __future__ import annotations

import json
import socket
import struct
import time

import pytest

from edgehr.live.web import WebServer, server
from edgehr.live.web.app import STATIC
from tests.live.web.clients import (
    ASK,
    ROUTES,
    UPGRADE,
    browse,
    connect,
    frame,
    get,
    handshake,
    port_of,
    publishing,
    wait_until,
    watcher,
)


def test_one_client_too_many_is_told_so() -> None:
    with WebServer(port=0, max_clients=2) as web, publishing(web):
        first, second = connect(web), connect(web)
        for client in (first, second):
            client.sendall(handshake(web))
            assert client.recv(100).startswith(b"HTTP/1.1 101")
        for headers in ({}, UPGRADE):
            status, body, _ = get(web.url, "live", **headers)
            assert (status, body) == (503, "All 2 places for viewers are taken: close a page elsewhere.\n")
        assert get(web.url, "picture.jpg")[0] == 503
        assert get(web.url)[0] == 200  # the page itself, which says so and tries again
        first.close()
        wait_until(lambda: get(web.url, "live")[0] == 426)
        browse(web, watcher(2))
        second.close()


@pytest.mark.parametrize("given", [None, "my-own-token"])
def test_a_token_guards_every_route(given: str | None) -> None:
    host = "127.0.0.1" if given else "0.0.0.0"  # noqa: S104 - what is tested
    with WebServer(host, port=0, token=given) as web, publishing(web):
        base = f"http://127.0.0.1:{port_of(web.url)}/"
        token = web.url.partition("?token=")[2]
        assert token == given or len(token) >= 32
        for route in ROUTES:
            for query in ("", "?token=", "?token=wrong", f"?token={token}x", "?token=%C3%A9%FF"):
                status, body, _ = get(base + query, route)
                assert status == 401
                assert token not in body
            assert get(base, route, **UPGRADE)[0] == 401
            assert get(base, route, Cookie=f"edgehr_{port_of(web.url)}=wrong")[0] == 401
        status, body, headers = get(f"{base}?token={token}")
        assert status == 200
        assert token not in body
        assert 'http-equiv="refresh" content="0; url=./"' in body
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        for route, expected in zip(ROUTES, (200, 200, 200, 200, 426, 404), strict=True):
            assert get(base, route, Cookie=cookie.split(";")[0])[0] == expected
        assert get(f"{base}?token={token}", "picture.jpg")[0] == 200


def test_foreign_hosts_and_pages_get_nothing(web: WebServer) -> None:
    with publishing(web):
        port = port_of(web.url)
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.0.2.1", "[::1", "a]b"):
            for route in ROUTES:
                assert get(web.url, route, Host=host)[0] == 403
        for host in (f"localhost:{port}", "localhost:9999", "127.0.0.1", f"[::1]:{port}", "LOCALHOST"):
            assert get(web.url, Host=host)[0] == 200
        for origin in ("http://evil.example", f"http://localhost:{port}", "null", "http://[", ""):
            assert get(web.url, "live", Origin=origin, **UPGRADE)[0] == 403
        assert get(web.url, "live", Origin=web.url.rstrip("/"))[0] == 426


def test_headers_and_files(web: WebServer) -> None:
    web.publish(frame(0), {})
    for route in ROUTES:
        headers = get(web.url, route)[2]
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "aiohttp" not in headers["Server"]
    for route in (
        "static/../app.py",
        "static/%2e%2e/app.py",
        "static/",
        "static//etc/passwd",
        "static/vendor/uPlot.LICENSE",
    ):
        assert get(web.url, route)[0] == 404
    for path in STATIC.rglob("*.*"):
        own = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert path.parent.name == "vendor" or ("http://" not in own and "https://" not in own)
    assert (STATIC / "vendor" / "uPlot.LICENSE").read_text().startswith("The MIT License")


def test_disconnects_at_any_moment_are_harmless(web: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    hello = handshake(web)
    moments = [b"", hello[:30], hello, hello + ASK, hello + 2 * ASK, hello + ASK[:3], hello + b"\xff" * 20]
    moments += [b"GET /picture.jpg ", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\nnonsense\r\n\r\n"]
    moments += [
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n" + ASK,
        b"POST / HTTP/9.9\r\n\r\n",
    ]
    reset = struct.pack("ii", 1, 0)
    with publishing(web, size=(480, 640), noise=True):
        for number, data in enumerate(5 * moments):
            client = connect(web)
            if number % 2:  # ends with a reset instead of politely
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.sendall(data)
            time.sleep(0.002 * (number % 7))
            client.close()
        browse(web, watcher(5))
        wait_until(lambda: json.loads(get(web.url, "status.json")[1])["viewers"] == 0)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_connections_are_bounded(web: WebServer) -> None:
    idle = [connect(web) for _ in range(8 + server.SPARE_CONNECTIONS)]
    time.sleep(0.2)
    with connect(web) as late:
        assert late.recv(100).startswith(b"HTTP/1.1 503")
    for client in idle:
        client.close()
    wait_until(lambda: get(web.url)[0] == 200)


def test_silent_connections_make_room(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp waits for ever for the first request: forty such clients shut everybody else out."""
    monkeypatch.setattr(server, "FIRST_REQUEST_S", 0.3)
    silent = [connect(web) for _ in range(8 + server.SPARE_CONNECTIONS)]
    for client in silent[::2]:
        client.sendall(b"GET / HTTP/1.1\r\nHost: loc")
    wait_until(lambda: all(client.recv(1) == b"" for client in silent[:3]))
    wait_until(lambda: get(web.url)[0] == 200)
    for client in silent:
        client.close()
