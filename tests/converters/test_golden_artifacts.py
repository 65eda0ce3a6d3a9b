"""Golden weights, converted: what every target's runtime returns, against the reference itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import edgehr
from edgehr.assets import photographs
from edgehr.converters.convert import convert
from tests import golden_files

pytestmark = pytest.mark.slow

# Of the largest value.
TOLERANCE = 2e-5
# An export takes most of the time, by the number of layers. W18 in full has twice as many as this one, and is tried
# where EDGEHR_GOLDEN names the folder.
FILES = golden_files.collect(*(() if golden_files.NAMED else ("hrnet_ocr",)))
TARGETS = {"onnx": ".onnx", "openvino": ".xml", "tflite": ".tflite"}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one picture, for `convert` to compare on: the comparison that counts here is the test's own."""
    folder = tmp_path_factory.mktemp("picture")
    shutil.copy(photographs()[0], folder)
    return folder


@pytest.fixture(scope="module", params=FILES)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = golden_files.read(request.param)
    return file, file.save_weights(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("target", TARGETS)
def test_artifacts_reproduce_the_reference(target: str, golden: Any, picture: Path, tmp_path: Path) -> None:
    file, weights = golden
    report = convert(file.card, weights, target, out=tmp_path / f"artifact{TARGETS[target]}", images=picture)
    with edgehr.load(report.path) as runtime:
        image = file.image.transpose(0, 2, 3, 1) if runtime.card.layout == "nhwc" else file.image
        assert file.difference(runtime.infer_batch(image)) <= TOLERANCE
