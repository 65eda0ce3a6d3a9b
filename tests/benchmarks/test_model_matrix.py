"""The matrix of networks, targets and precisions: what it lists, keeps and prints."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import model_matrix
from edgehr.zoo import all_cards

NAME = "hrnet-w18-small-gluon-imagenet-224x224"


def test_every_card_is_stood_for_by_one_of_its_kind() -> None:
    rows = model_matrix.networks()
    assert sum(row.cards for row in rows) == len(all_cards())
    assert len({row.card.name for row in rows}) == len(rows)
    assert all(side % 32 == 0 for row in rows for side in row.size)
    origins = {
        row.origin for row in rows if row.card.parameters.get("width") == 18 and row.card.task == "classification"
    }
    assert {"HRNet", "mmclassification", "timm"} <= origins


def test_a_model_whose_process_dies_ends_no_other_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def killed(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        name = command[command.index("--only") + 1]
        asked.append(name)
        folder = tmp_path / name
        folder.mkdir()
        figures = {"relative": 2e-5, "size_bytes": 5_000_000, "weights": "made", "ms": 12.0}
        (folder / "onnx-fp32.json").write_text(json.dumps(figures))
        return subprocess.CompletedProcess(command, -9)

    monkeypatch.setattr(model_matrix.subprocess, "run", killed)
    arguments = ["hrnet-w18-small-", "--targets", "onnx", "--precisions", "fp32", "fp16", "--out", str(tmp_path)]
    assert model_matrix.main(arguments) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "small-gluon" in line)
    assert "| 224x224 | made | ONNX | 2e-05, 5.0 MB, 12 ms | no: its process ended with -9 |" in row
    assert len(asked) == 2

    assert model_matrix.main(arguments) == 0  # goes on where it was: there is nothing left
    assert len(asked) == 2


def test_int8_shows_its_agreement_and_coverage(tmp_path: Path) -> None:
    figures = {
        "correlation": 0.9979,
        "agreement": 0.95,
        "int8_share": 0.985,
        "size_bytes": 13_300_000,
        "weights": "made",
    }
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "tflite-int8.json").write_text(json.dumps(figures))
    rows = [row for row in model_matrix.networks() if row.card.name == NAME]
    assert model_matrix.markdown(rows, tmp_path).endswith("|  |  | r 0.998, agrees 0.950, 98% INT8, 13.3 MB |")


def test_an_unknown_network_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert model_matrix.main(["resnet"]) == 1
    assert capsys.readouterr().err == "model-matrix: no network's name has any of resnet: see `edgehr models`\n"
