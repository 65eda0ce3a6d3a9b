"""A few cases of the campaigns whose long runs `make campaign` makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.cameras import rtsp_reason
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaigns fork, and look at Linux's processes")

RUN = """
import sys
from pathlib import Path
from random import Random
from tests.campaign import {campaign}

with {campaign}.open_campaign(Path(sys.argv[1]), {chosen}) as draw:
    for number in range(int(sys.argv[2])):
        case = draw(number, Random(number))
        print(case.kind, case.run())
"""


def run(folder: Path, campaign: str, chosen: str, count: int) -> list[str]:
    """Run cases in a process of their own, which starts no thread before it forks; returns a line for each."""
    folder = folder / "work"
    folder.mkdir()
    command = [sys.executable, "-c", RUN.format(campaign=campaign, chosen=chosen), str(folder), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_kills(tmp_path: Path) -> None:
    kinds = ("fetch", "demo of a video")
    chosen = f"[each for each in kills.COMMANDS if each.kind in {kinds}]"
    assert len(run(tmp_path, "kills", chosen, 6)) == 6


def test_load(tmp_path: Path) -> None:
    kinds = ("looped file that goes", "HTTP camera whose bytes flip")
    lines = run(tmp_path, "load", f"[each for each in load.KINDS if each[0] in {kinds}]", 2)
    assert len(lines) == 2


@pytest.mark.skipif(bool(rtsp_reason()), reason=rtsp_reason())
def test_rtsp(tmp_path: Path) -> None:
    kinds = ("RTSP with a wrong password", "RTSP over TCP, damaged")
    lines = run(tmp_path, "load", f"[each for each in load.KINDS if each[0] in {kinds}]", 2)
    assert len(lines) == 2
