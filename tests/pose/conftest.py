"""What several tests of live pose use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgehr.pose.web import WebServer


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A page on a free port of the loopback."""
    with WebServer(port=0) as running:
        yield running
