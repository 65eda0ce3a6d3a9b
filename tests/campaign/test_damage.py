"""A few cases of damage and strangers, of the kinds that take milliseconds; `make campaign` runs many of all kinds."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from random import Random

import pytest

from tests.campaign import damage, strangers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and hooks of the child are Linux's"),
]


@pytest.mark.parametrize(
    ("campaign", "count"),
    [pytest.param(damage, 150, id="damage"), pytest.param(strangers, 60, id="strangers")],
)
def test_a_sample_holds_its_promises(campaign: object, count: int, tmp_path: Path) -> None:
    if campaign is strangers and shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate, is not installed")
    kinds = set()
    with campaign.open_campaign(tmp_path) as draw:  # type: ignore[attr-defined]
        for number in range(count):
            case = draw(number, Random(f"sample/{number}"))  # noqa: S311
            if case.kind in ("page: slow", "page: viewers"):
                continue
            assert case.run()
            kinds.add(case.kind)
    assert len(kinds) > 10
