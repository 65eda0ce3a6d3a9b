"""What several tests of live pose use."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edgehr.live.sources import devices
from edgehr.live.web import WebServer
from tests.live.streams import MjpegServer


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def camera(no_thread_is_left: None) -> Iterator[MjpegServer]:
    server = MjpegServer()
    yield server
    server.down()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost devices are opened again at once."""
    monkeypatch.setattr(devices, "MIN_PAUSE_S", 0.05)
    monkeypatch.setattr(devices, "MAX_PAUSE_S", 0.2)


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A page on a free port of the loopback."""
    with WebServer(port=0) as running:
        yield running
