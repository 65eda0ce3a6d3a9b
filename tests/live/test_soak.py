"""The benchmark that runs live pose for an hour, in a short form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.live.sources.test_sources import write_video

FRAMES = 700


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory, threads and open files are read from Linux's /proc")
def test_memory_does_not_grow_and_nothing_is_left_over(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", frames=10)
    command = [sys.executable, "-m", "benchmarks.soak", str(video), "--frames", str(FRAMES), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["frames"] == found["lines"] == found["frames_with"] == FRAMES
    assert found["pictures"] > 0
    assert found["growth"] < 0.014  # 0.007 without a leak, 0.027 where the results of all frames stay
    for kind in ("threads", "files"):
        assert found["after"][kind] == found["before"][kind]
