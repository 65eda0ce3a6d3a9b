"""Every kind of file on the lowest versions that pyproject.toml allows, in the environment of `make lowest-env`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.cli.main import main
from edgehr.converters.compare import comparison_batch
from edgehr.runtimes import load
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PYTHON = ROOT / ".venv-lowest" / "bin" / "python"
PACKAGES = ("numpy", "opencv-python", "onnxruntime", "openvino", "ai-edge-litert", "tritonclient")
INFER = """
import sys, numpy as np, edgehr
with edgehr.load(sys.argv[1]) as runtime:
    np.save(sys.argv[3], runtime.infer_batch(np.load(sys.argv[2]))["heatmaps"])
"""
KINDS = ("onnx", "xml", "tflite")


def lowest(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the other environment's Python."""
    if not PYTHON.exists() and not os.environ.get("CI"):
        pytest.skip("no environment of the lowest versions here: make lowest-env")
    command = [str(PYTHON), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": ""}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def artifacts(sample_onnx: Path, sample_ir: Path, sample_tflite: Path) -> dict[str, Path]:
    return {"onnx": sample_onnx, "xml": sample_ir, "tflite": sample_tflite}


def test_the_environment_has_the_lowest_versions(tmp_path: Path) -> None:
    code = "import json, sys; from importlib.metadata import version; print(json.dumps([sys.version_info[1], "
    code += f"*map(version, {PACKAGES!r})]))"
    done = lowest("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    minor, *found = json.loads(done.stdout)
    if minor > 11:
        pytest.skip("this Python has no build of them")
    bounds = dict(re.findall(r"^([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)", "\n".join(requires("edgehr") or []), re.MULTILINE))
    for name, version in zip(PACKAGES, found, strict=True):
        assert f"{version}.".startswith(f"{bounds[name]}."), name


@pytest.mark.parametrize("kind", KINDS)
def test_files_give_the_same_as_here(kind: str, artifacts: dict[str, Path], sample_card: Any, tmp_path: Path) -> None:
    crops = comparison_batch(sample_card)[:4]
    if kind == "tflite":
        crops = np.ascontiguousarray(crops.transpose(0, 2, 3, 1))
    np.save(tmp_path / "in.npy", crops)
    done = lowest("-c", INFER, artifacts[kind], tmp_path / "in.npy", tmp_path / "out.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with load(artifacts[kind]) as runtime:
        expected = runtime.infer_batch(crops)["heatmaps"]
    assert np.abs(np.load(tmp_path / "out.npy") - expected).max() < 1e-3 * expected.std()


@pytest.mark.parametrize("kind", KINDS)
def test_the_demo_finds_the_person(
    kind: str,
    artifacts: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("demo", "--model", str(artifacts[kind]), "--json")
    done = lowest("-m", "edgehr.cli.main", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "astronaut.jpg").is_file()
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    here = capsys.readouterr().out
    (found,), (expected,) = (json.loads(each)["results"][0]["people"] for each in (done.stdout, here))
    keypoints, here_keypoints = np.array(found["keypoints"]), np.array(expected["keypoints"])  # x, y, score
    sure = here_keypoints[:, 2] > 0.5
    assert sure.sum() > 4
    # Another OpenCV cuts crops out with other roundings.
    assert np.abs(keypoints - here_keypoints)[sure, :2].max() < 2  # pixels, of a picture of 512


def test_doctor_finds_nothing_too_old(tmp_path: Path) -> None:
    done = lowest("-m", "edgehr.cli.main", "doctor", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    states = {entry["name"]: entry["state"] for entry in json.loads(done.stdout)}
    assert {states[name] for name in ("numpy", "opencv", "onnxruntime", "openvino", "tflite")} == {"ok"}
