"""Golden weights, converted: what every target's runtime returns, against the reference itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgehr
from edgehr.assets import photographs
from edgehr.converters.convert import convert
from edgehr.tasks.detection.two_stage.roi_align import pool_regions
from tests import golden_files
from tests.golden_files import joined_levels, near
from tests.made_once import KeptExports

pytestmark = pytest.mark.slow

# Of the largest value.
TOLERANCE = 2e-5
# An export takes most of the time, by the number of layers. W18 in full has twice as many as this one, and is tried
# where EDGEHR_GOLDEN names the folder.
FILES = golden_files.collect(*(() if golden_files.NAMED else ("hrnet_ocr",)))
DETECTORS = golden_files.matching(r"(fcos|faster_rpn|faster_roi|mask|cascade(_mask)?)_hrnetv2p_.*")
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


@pytest.mark.skipif(not golden_files.NAMED, reason="converts W18 several times: set EDGEHR_GOLDEN to the folder")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", DETECTORS)
def test_detectors_reproduce_the_reference(
    target: str, path: Path, picture: Path, tmp_path: Path, kept_exports: KeptExports
) -> None:
    """Raw outputs, features of regions from NumPy, and what the heads make of these."""
    meta, data = golden_files.load(path)
    card, weights = golden_files.detector_card(path), golden_files.save_tensors(path, meta, tmp_path)
    report = convert(card, weights, target, out=tmp_path / f"artifact{TARGETS[target]}", images=picture)
    with edgehr.load(report.path, precision="fp32" if target == "openvino" else None) as runtime:
        image = golden_files.fill(path).image(meta["input_seed"], meta["input_shape"])
        image = image.transpose(0, 2, 3, 1).copy() if runtime.card.layout == "nhwc" else image
        outputs = runtime.infer_batch(image)
        names = [output.name for output in card.outputs]
        if "proposals" not in data:
            for number, name in enumerate(names[:2] if runtime.parts else names):
                wanted = joined_levels(data, range(5 * number, 5 * number + 5), outputs[name].shape[-1])
                assert near(outputs[name][0], wanted)
            return
        pyramid = [outputs[name][0] for name in names[2:]]

        def head(name: str, boxes: np.ndarray, size: int = 7) -> Any:
            return runtime.parts[name].infer_batch(pool_regions(pyramid, (4, 8, 16, 32), boxes, size))

        if "box_head" in runtime.parts:
            found = head("box_head", data["proposals"])
            assert near(found["scores"], data["output0"])
            assert near(found["deltas"], data["output1"])
        for stage in range(3 if "box_head0" in runtime.parts else 0):
            found = head(f"box_head{stage}", data[f"stage{stage}_boxes"])
            assert near(found["scores"], data[f"stage{stage}_cls_score"])
            assert near(found["deltas"], data[f"stage{stage}_bbox_pred"])
        if "mask_head" in runtime.parts:
            masks = head("mask_head", data["mask_boxes"], 14)["masks"]
            drawn = masks[np.arange(len(masks)), data["mask_labels"]]
            wanted = data["output2"] if "stage0_boxes" in data else 1 / (1 + np.exp(-data["output2"]))
            np.testing.assert_allclose(drawn, wanted, atol=TOLERANCE)
