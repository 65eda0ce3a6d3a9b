"""The page's modules against edgehr's own functions, in Node's test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.web_demo.fixtures import write_fixtures

NODE = shutil.which("node")
TESTS = Path(__file__).parent / "js"


@pytest.mark.skipif(NODE is None, reason="no Node here to run the page's modules")
def test_the_modules_do_what_edgehr_does(tmp_path: Path) -> None:
    write_fixtures(tmp_path)
    command = [NODE or "", "--no-warnings", "--test", *map(str, sorted(TESTS.glob("*.test.mjs")))]
    environment = {**os.environ, "EDGEHR_FIXTURES": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
