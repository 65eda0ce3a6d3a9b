"""Writing OpenVINO IR where the disk takes no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FULL = """
import resource, sys
from pathlib import Path
from edgehr.converters.openvino.ir import save_ir, to_ir
from edgehr.errors import EdgehrError
from edgehr.runtimes.artifact import Artifact
from tests.calib.small_pose import CARD, small_pose

model = to_ir(small_pose())
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_ir(model, Path(sys.argv[1]), Artifact(CARD, "fp32", "ab" * 32, {"edgehr": "test"}), fp16_weights=False)
except EdgehrError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "m.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("m.xml: OpenVINO cannot write it (")
    assert line.endswith("is the disk full?")
