"""What all tests of conversions use."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _exports_are_kept(request: pytest.FixtureRequest) -> None:
    """For slow tests; the others export nothing and need not wait for PyTorch."""
    if request.node.get_closest_marker("slow"):
        request.getfixturevalue("kept_exports")
