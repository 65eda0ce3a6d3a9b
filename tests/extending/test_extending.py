"""A task and a target join by one module and one registration each, and every command works with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.torch import save_file

from edgehr.assets import photographs
from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from tests.conftest import ROOT
from tests.extending.statistics_task import StatisticsSpec

pytestmark = pytest.mark.slow

# As the user of such modules: they are imported before anything else.
EDGEHR = (
    "import sys, json; import tests.extending.rounded_target, tests.extending.statistics_task; "
    "from edgehr.cli.main import main; sys.exit(max(main(line) for line in json.loads(sys.argv[1])))"
)


def run(*lines: list[Any]) -> str:
    arguments = json.dumps([[str(word) for word in line] for line in lines])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", EDGEHR, arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_task_and_a_target_of_one_s_own(tmp_path: Path) -> None:
    card = ModelCard(
        name="means-64x64",
        task="statistics",
        architecture="hrnet",
        parameters={"width": 8, "depth": "small_v1"},
        dataset="none",
        input=InputSpec(64, 64),
        outputs=(OutputSpec("maps", "(N, 2, 16, 16)"),),
        spec=StatisticsSpec(("first", "second")),
        weights=WeightsInfo("user"),
    )
    (tmp_path / "card.json").write_text(card.to_json())
    _write_weights(card, tmp_path / "weights.safetensors")
    pictures = {path.name: cv2.imread(str(path)) for path in photographs()}
    artifact = tmp_path / "means.onnx"
    means, rounded = ["--weights", tmp_path / "weights.safetensors", "--json"], ["--to", "rounded", "--out", artifact]
    printed = run(["convert", tmp_path / "card.json", *rounded, *means])
    report = json.loads(printed)
    assert report["notes"] == ["weights are rounded to 16 bits of mantissa"]
    assert 0 < report["difference"]["relative_mean"] < 0.1

    from edgehr.runtimes import load
    from tests.extending.statistics_task import StatisticsTask

    with load(artifact) as runtime:
        truth = {
            name: StatisticsTask(card).predict(runtime, image).astype(float).tolist()
            for name, image in pictures.items()
        }
    for name, image in pictures.items():
        cv2.imwrite(str(tmp_path / name), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    wrong = {**truth, next(iter(truth)): [1e3, 1e3]}
    (tmp_path / "right.json").write_text(json.dumps(truth))
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    files = ["--images", tmp_path, "--json"]
    printed = run(
        ["inspect", artifact],
        ["verify", artifact, artifact, "--min-agreement", 1],
        ["eval", artifact, "--annotations", tmp_path / "right.json", *files],
        ["eval", artifact, "--annotations", tmp_path / "wrong.json", *files],
    )
    assert "means of     first, second (levels)" in printed
    assert "alike      1.0000    means within 5 %" in printed
    assert [line.split(":")[1].strip() for line in printed.splitlines() if '"within"' in line] == ["1.0", "0.5"]
    assert np.isfinite(list(truth.values())).all()


def _write_weights(card: ModelCard, path: Path) -> None:
    import torch

    from edgehr.models import build

    torch.manual_seed(0)
    network = build(card)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
