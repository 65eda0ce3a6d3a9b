"""Addresses of the page."""

from __future__ import annotations

import socket

import pytest

from edgehr.errors import EdgehrError
from edgehr.live.web import address, parse_address


def test_reads_addresses() -> None:
    assert parse_address("8080") == ("127.0.0.1", 8080)
    assert parse_address("0.0.0.0:80") == ("0.0.0.0", 80)  # noqa: S104
    assert parse_address("board.local:0") == ("board.local", 0)
    assert parse_address("[::1]:8080") == ("::1", 8080)
    for wrong in ("", ":8080", "board", "board:", "1:2:3", "::1", "host:99999", "host:-1", "host:８０"):  # noqa: RUF001
        with pytest.raises(EdgehrError, match="give PORT or HOST:PORT"):
            parse_address(wrong)


def test_urls_that_a_browser_opens() -> None:
    for host, shown, loopback in (
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost", "localhost", True),
        ("::1", "[::1]", True),
    ):
        if host == "::1" and not socket.has_ipv6:
            continue
        with address.listen(host, 0) as bound:
            port = bound.getsockname()[1]
            assert address.page_url(host, bound, None) == f"http://{shown}:{port}/"
            assert address.page_url(host, bound, "a&b") == f"http://{shown}:{port}/?token=a%26b"
            assert address.is_loopback(bound) is loopback
    with address.listen("0.0.0.0", 0) as bound:  # noqa: S104
        assert "0.0.0.0" not in address.page_url("0.0.0.0", bound, None)  # noqa: S104
        assert not address.is_loopback(bound)
