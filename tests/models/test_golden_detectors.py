"""Detectors on HRNetV2p against mmdetection, from golden files: networks, and the steps between their graphs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgehr.models import ARCHITECTURES, Network
from edgehr.models.backbones.hrnet import HRNet
from edgehr.models.checkpoints.loading import load_weights
from edgehr.models.necks.hrfpn import HRFPN
from edgehr.tasks.detection.two_stage.regions import choose_detections, refine
from edgehr.tasks.detection.two_stage.roi_align import levels_of, pool_regions
from tests import golden_files
from tests.golden_files import joined_levels, near

pytestmark = pytest.mark.slow

STRIDES = (4, 8, 16, 32)
NEAR = 2e-5


def run(path: Path, folder: Path, architecture: str, **parameters: Any) -> tuple[Any, Any, Network, list[np.ndarray]]:
    """Load a file's weights as users do; returns its description, its arrays, the network, and what that returns."""
    meta, data = golden_files.load(path)
    width = re.search(r"_w(\d+)_", path.stem)
    assert width is not None
    network = ARCHITECTURES.get(architecture)(80, width=int(width[1]), **parameters).eval()
    load_weights(network, golden_files.save_tensors(path, meta, folder))
    image = golden_files.fill(path).image(meta["input_seed"], meta["input_shape"])
    with torch.inference_mode():
        outputs = network(torch.from_numpy(image))
    return meta, data, network, [output[0].numpy() for output in outputs]


def part(network: Network, name: str, features: np.ndarray) -> Any:
    with torch.inference_mode():
        found = network.parts[name](torch.from_numpy(features))
    return tuple(each.numpy() for each in found) if isinstance(found, tuple) else found.numpy()


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("path", golden_files.matching(r"fcos_hrnetv2p_.*"))
def test_fcos(path: Path, early: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if early:  # as the first versions of mmdetection named the last layers
        plain = golden_files.fill

        def renamed(path: Path) -> Any:
            module = plain(path)
            draw = module.fill
            module.fill = lambda keys: {
                re.sub(r"bbox_head\.conv_(cls|reg|centerness)", r"bbox_head.fcos_\1", key): value
                for key, value in draw(keys).items()
            }
            return module

        monkeypatch.setattr(golden_files, "fill", renamed)
    _, data, _, outputs = run(path, tmp_path, "hrnet_fcos")
    for number, (found, columns) in enumerate(zip(outputs, (80, 4, 1), strict=True)):
        assert near(found, joined_levels(data, range(5 * number, 5 * number + 5), columns))


@pytest.mark.parametrize("path", golden_files.matching(r"faster_rpn_hrnetv2p_.*"))
def test_region_proposal_network(path: Path, tmp_path: Path) -> None:
    _, data, _, (objectness, deltas, *_) = run(path, tmp_path, "hrnet_rcnn")
    assert near(objectness, joined_levels(data, range(5), 1))
    assert near(deltas, joined_levels(data, range(5, 10), 4))


@pytest.mark.parametrize("path", golden_files.matching(r"(faster_roi|mask)_hrnetv2p_.*"))
def test_heads_of_regions(path: Path, tmp_path: Path) -> None:
    masks = path.stem.startswith("mask")
    _, data, network, (_, _, *pyramid) = run(path, tmp_path, "hrnet_rcnn", masks=masks)
    assert levels_of(data["proposals"], 4).tolist() == data["levels"].tolist()
    features = pool_regions(pyramid, STRIDES, data["proposals"], 7)
    assert near(features.transpose(0, 3, 1, 2)[:, ::16], data["roi_feats_sample"])
    logits, deltas = part(network, "box_head", features)
    assert near(logits, data["output0"])
    assert near(deltas, data["output1"])
    if masks:
        features = pool_regions(pyramid, STRIDES, data["mask_boxes"], 14)
        assert near(features.transpose(0, 3, 1, 2)[:, ::32], data["mask_feats_sample"])
        found = part(network, "mask_head", features)[np.arange(len(features)), data["mask_labels"]]
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-data["output2"])), atol=NEAR)


@pytest.mark.parametrize("path", golden_files.matching(r"cascade_(mask_)?hrnetv2p_.*"))
def test_cascade(path: Path, tmp_path: Path) -> None:
    masks = "_mask_" in path.stem
    meta, data, network, (_, _, *pyramid) = run(path, tmp_path, "hrnet_rcnn", stages=3, masks=masks)

    def head(stage: int, boxes: np.ndarray) -> Any:
        np.testing.assert_allclose(boxes, data[f"stage{stage}_boxes"], atol=1e-3, rtol=0)
        logits, deltas = part(network, f"box_head{stage}", pool_regions(pyramid, STRIDES, boxes, 7))
        assert near(logits, data[f"stage{stage}_cls_score"])
        assert near(deltas, data[f"stage{stage}_bbox_pred"])
        return logits, deltas

    boxes, deltas, mean = refine(data["proposals"], head, meta["bbox_stds"], meta["img_shape"])
    assert near(mean, data["output0"])
    found, scores, labels = choose_detections(boxes, deltas, mean, meta["bbox_stds"][-1], meta["img_shape"])
    assert labels.tolist() == data["det_labels"].tolist()
    np.testing.assert_allclose(found, data["det_boxes"], atol=1e-3, rtol=0)
    np.testing.assert_allclose(scores, data["det_scores"], atol=1e-6, rtol=0)
    if masks:
        drawn = part(network, "mask_head", pool_regions(pyramid, STRIDES, data["mask_boxes"], 14))
        np.testing.assert_allclose(drawn[np.arange(len(drawn)), data["mask_labels"]], data["output2"], atol=NEAR)


@pytest.mark.parametrize("path", golden_files.matching(r"hrnetv2p_w\d+_neck_.*"))
def test_pyramid(path: Path) -> None:
    meta, data = golden_files.load(path)
    weights = {
        key: torch.from_numpy(np.asarray(value)) for key, value in golden_files.fill(path).fill(meta["keys"]).items()
    }
    width = re.search(r"_w(\d+)_", path.stem)
    assert width is not None
    backbone = HRNet(int(width[1]), True).eval()
    neck = HRFPN(backbone.channels).eval()
    for module, prefix in ((backbone, "backbone."), (neck, "neck.")):
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        missing, unexpected = module.load_state_dict(own, strict=False)
        assert not unexpected
        assert all(key.endswith("num_batches_tracked") for key in missing)
    image = golden_files.fill(path).image(meta["input_seed"], meta["input_shape"])
    with torch.inference_mode():
        levels = neck(backbone(torch.from_numpy(image)))
    for number, level in enumerate(levels):
        assert near(level.numpy(), data[f"output{number}"])
