"""The documentation site builds without a warning and has everything public in its reference."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edgehr
from edgehr.live.web_demo.npm import LITERT, is_cached
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def test_the_site_builds_and_has_everything_public(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    reference = "".join(page.read_text(encoding="utf-8") for page in tmp_path.glob("api/*/index.html"))
    assert set(edgehr.__all__) - {"__version__"} - set(re.findall(r'id="edgehr\.(\w+)"', reference)) == set()
    start = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert [tab for tab in ("Start", "Convert", "Devices", "Reference", "API") if f"{tab}\n" not in start] == []
    demo = tmp_path / "web-demo"
    if is_cached(LITERT):
        assert 'href="live/"' in (demo / "index.html").read_text(encoding="utf-8")
        assert (demo / "live" / "runtime" / "litert" / "index.js").is_file()
    else:
        assert "web-demo/live is left out" in done.stderr
    assert "PoseEstimator" in (tmp_path / "search" / "search_index.json").read_text(encoding="utf-8")
