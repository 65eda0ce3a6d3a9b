"""The networks against outputs of the reference implementations, through the checkpoint loader that users have."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from edgehr.models import ARCHITECTURES, Network
from edgehr.models.build import load
from edgehr.models.checkpoints.loading import load_weights
from edgehr.zoo import get_card

# Golden file -> architecture and parameters.
GOLDEN: dict[str, tuple[str, dict[str, Any]]] = {
    "litehrnet18_coco": ("lite_hrnet", {"depth": 18}),
    "litehrnet30_coco": ("lite_hrnet", {"depth": 30}),
    "litehrnet_wider_naive": ("lite_hrnet", {"depth": 18, "variant": "wider_naive"}),
    "hrnet_w32_pose_mmpose": ("hrnet", {"width": 32}),
    "hrnet_w32_pose_official": ("hrnet", {"width": 32}),
    "hrnetv2_w18_face_mmpose": ("hrnetv2", {"width": 18}),
    "hrnetv2_w18_face_official": ("hrnetv2", {"width": 18, "upsampling": "bilinear"}),
    "hrnetv2_w18_seg_mmseg": ("hrnetv2", {"width": 18, "upsampling": "bilinear"}),
    "hrnetv2_w18_seg_official": ("hrnetv2", {"width": 18, "upsampling": "bilinear"}),
    "ocrnet_hr18s_mmseg": ("hrnet_ocr", {"width": 18, "depth": "small_v2"}),
    "hrnet_w18_cls_official": ("hrnet_classifier", {"width": 18}),
}


def golden(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Description, weights, input and output of a golden file."""
    spec = importlib.util.spec_from_file_location("fill", folder / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    with np.load(folder / f"{name}.npz") as data:
        meta, output = json.loads(str(data["meta"])), data["output0"]
    weights = {key: np.asarray(value) for key, value in fill.fill(meta["keys"]).items()}
    return meta, weights, fill.image(meta["input_seed"], meta["input_shape"]), output


def make(name: str, outputs: int) -> Network:
    architecture, parameters = GOLDEN[name]
    return ARCHITECTURES.get(architecture)(outputs, **parameters).eval()


@pytest.mark.parametrize("name", GOLDEN)
def test_reproduces_the_reference(name: str, shared: Path, tmp_path: Path) -> None:
    _, weights, image, expected = golden(shared / "golden", name)
    checkpoint = tmp_path / "checkpoint.safetensors"
    save_file(weights, checkpoint)
    network = make(name, expected.shape[1])
    load_weights(network, checkpoint)
    with torch.inference_mode():
        output = network(torch.from_numpy(image)).numpy()
    assert output.shape == expected.shape
    assert np.abs(output - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize(
    ("name", "card_name", "upsampling"),
    [
        # Computed without the `upsample` entry that mmpose's configs for published weights have.
        ("hrnetv2_w18_face_mmpose", "hrnetv2-w18-wflw-256x256", "nearest"),
        ("hrnetv2_w18_face_official", "hrnetv2-w18-official-wflw-256x256", "bilinear"),
    ],
)
def test_face_cards_reproduce_the_reference(
    name: str, card_name: str, upsampling: str, shared: Path, tmp_path: Path
) -> None:
    _, weights, image, expected = golden(shared / "golden", name)
    save_file(weights, tmp_path / "checkpoint.safetensors")
    card = get_card(card_name)
    card = replace(card, parameters={**card.parameters, "upsampling": upsampling})
    with torch.inference_mode():
        output = load(card, tmp_path / "checkpoint.safetensors")(torch.from_numpy(image)).numpy()
    assert output.shape == expected.shape
    assert np.abs(output - expected).max() <= 2e-5 * np.abs(expected).max()


def test_every_pose_golden_file_of_v1_and_lite_is_covered(shared: Path) -> None:
    files = {path.stem for path in (shared / "golden").glob("*.npz")}
    assert {name for name in files if name.startswith(("litehrnet", "hrnet_w32"))} <= set(GOLDEN)
