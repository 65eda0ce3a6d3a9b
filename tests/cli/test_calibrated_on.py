"""No figure is given for a model on images that it was calibrated on."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edgehr.cli.main import main
from edgehr.converters.onnx.graph import embed
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.overlap import file_fingerprint
from edgehr.runtimes.artifact import Artifact
from tests.converters.report.small_graphs import CARD, annotated, float_model, save


@pytest.mark.parametrize(
    "command", [["eval", "int8.onnx"], ["verify", "fp32.onnx", "int8.onnx"], ["report", "fp32.onnx", "int8.onnx"]]
)
def test_it_is_refused(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    annotations = Annotations.read(annotated(tmp_path))
    images = [image.path for image in annotations.ground_truth(annotations.images_beside)]
    model = float_model()
    prints = ("A" * 48, file_fingerprint(images[1]))
    embed(model, Artifact(CARD, "int8", "0" * 64, {"edgehr": "test"}, "cd" * 32, prints))
    onnx.save(model, tmp_path / "int8.onnx")
    save(float_model(), tmp_path / "fp32.onnx")
    given = ["--annotations", str(annotations.path), "--images", str(annotations.images_beside)]
    assert main([*command, *given]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"edgehr {command[0]}: {images[1]}: the model was calibrated on this image (1 of the 2 ")
