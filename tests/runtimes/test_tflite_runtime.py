"""TFLite files on `tflite-runtime` 2.14, in the environment that `make tflite-runtime-env` brings up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.converters.compare import comparison_batch
from edgehr.converters.tflite.metadata import embed
from edgehr.converters.tflite.writer import write_float
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.base import Evaluator
from edgehr.runtimes import load
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PYTHON = ROOT / ".venv-tflite-runtime" / "bin" / "python"
INFER = """
import sys, numpy as np, edgehr
with edgehr.load(sys.argv[1]) as runtime:
    assert str(runtime.library) == "tflite-runtime 2.14.0", runtime.library
    np.save(sys.argv[3], runtime.infer_batch(np.load(sys.argv[2]))["heatmaps"])
"""


def old(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the other environment's Python."""
    expected = os.environ.get("CI") and sys.version_info < (3, 12)
    if not PYTHON.exists() and not expected:
        pytest.skip("no environment with tflite-runtime here: make tflite-runtime-env (Python 3.11 at most)")
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [str(PYTHON), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def crops(sample_card: Any) -> np.ndarray:
    return np.ascontiguousarray(comparison_batch(sample_card)[:4].transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("precision", "least"),
    [("fp32", 0.999999), ("fp16", 0.999999), ("dynamic-int8", 0.9), ("int8", 0.9), ("int8-io", 0.9)],
)
def test_every_precision_loads_and_agrees_with_litert(
    precision: str,
    least: float,
    sample_tflite: Path,
    sample_graph: Any,
    sample_static_int8: Callable[[bool], bytes],
    crops: np.ndarray,
    tmp_path: Path,
    sample_card: Any,
) -> None:
    path = tmp_path / "model.tflite"
    if precision == "fp32":
        path.write_bytes(sample_tflite.read_bytes())
    else:
        layout = sample_card.with_layout("nhwc")
        if precision in ("fp16", "dynamic-int8"):
            made = write_float(sample_graph, layout, precision)
        else:
            made = sample_static_int8(precision == "int8-io")
        with load(sample_tflite) as runtime:
            assert runtime.artifact is not None
            path.write_bytes(embed(made, runtime.artifact))
    np.save(tmp_path / "in.npy", crops)
    done = old("-c", INFER, path, tmp_path / "in.npy", tmp_path / "out.npy")
    assert done.returncode == 0, done.stderr
    with load(path) as runtime:
        expected = runtime.infer_batch(crops)["heatmaps"]
    # Both compute INT8 in integers, but round differently, so that single values differ; empty maps correlate by 0.
    assert np.corrcoef(np.load(tmp_path / "out.npy").ravel(), expected.ravel())[0, 1] >= least


def test_accuracy_of_the_sample_weights(shared: Path, sample_tflite: Path, tmp_path: Path) -> None:
    """On the first people; of more, tests/evaluation has the AP on LiteRT. Heatmaps are compared above."""
    people = shared / "data" / "coco-val2017-people"
    first = Annotations.read(people / "person_keypoints.json").first(20)
    (tmp_path / "first.json").write_text(json.dumps(first.data))
    with load(sample_tflite) as runtime:
        evaluator = Evaluator.for_card(runtime.card)
        expected = evaluator.evaluate(runtime, evaluator.read(tmp_path / "first.json", people / "images"))
    files = ("--annotations", tmp_path / "first.json", "--images", people / "images")
    done = old("-m", "edgehr.cli.main", "eval", sample_tflite, *files, "--json")
    assert done.returncode == 0, done.stderr
    assert expected.headline > 0.5
    assert abs(json.loads(done.stdout)["ap"] - expected.headline) <= 0.001


def test_damage_gives_one_line_and_no_crash(sample_tflite: Path, tmp_path: Path) -> None:
    """The library itself dies of such files."""
    whole = sample_tflite.read_bytes()
    changed = bytearray(whole)
    changed[len(changed) - 1000] ^= 0xFF
    foreign = bytearray(whole.replace(b"edgehr", b"edgeHR"))  # no description: a file from elsewhere
    foreign[-5000:] = os.urandom(5000)
    for name, content in (
        ("short", whole[: len(whole) // 2]),
        ("changed", changed),
        ("foreign", foreign),
        ("empty", b""),
        ("text", b"hello"),
    ):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        done = old("-m", "edgehr.cli.main", "inspect", path)
        assert done.returncode == 1, (name, done)
        lines = [line for line in done.stderr.splitlines() if "XNNPACK" not in line]
        assert len(lines) == 1
        assert f"{name}.tflite" in lines[0]
