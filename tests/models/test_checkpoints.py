from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgehr.errors import CheckpointError
from edgehr.models import ARCHITECTURES, Network
from edgehr.models.checkpoints.loading import load_weights

State = dict[str, torch.Tensor]


def lite(outputs: int = 17) -> Network:
    return ARCHITECTURES.get("lite_hrnet")(outputs, depth=18).eval()


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return lite().state_dict()


def assert_loads(path: Path, network: Network, expected: State) -> None:
    load_weights(network, path)
    loaded = network.state_dict()
    for key, tensor in expected.items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(loaded[key], tensor), key


def test_mmpose_1_with_numpy_in_its_description(state: State, tmp_path: Path) -> None:
    meta = {
        "dataset_meta": {"sigmas": np.array([0.026, 0.025]), "colors": np.zeros((2, 3), np.uint8), "k": np.int64(17)},
        "seed": 3,
        "time": "20220909",
    }
    torch.save({"meta": meta, "state_dict": state}, tmp_path / "a.pth")
    assert_loads(tmp_path / "a.pth", lite(), state)


def test_mmpose_0_and_official_lite_hrnet(state: State, tmp_path: Path) -> None:
    old = {key.replace("head.final_layer", "keypoint_head.final_layer"): tensor for key, tensor in state.items()}
    assert any(key.startswith("keypoint_head.") for key in old)
    torch.save({"meta": {"mmpose_version": "0.20"}, "state_dict": old}, tmp_path / "a.pth")
    assert_loads(tmp_path / "a.pth", lite(), state)


def test_mmpose_0_head_of_hrnetv2(tmp_path: Path) -> None:
    network = ARCHITECTURES.get("hrnetv2")(21, width=18)
    state = network.state_dict()
    names = {"head.conv_layers.": "keypoint_head.final_layer.", "head.final_layer.": "keypoint_head.final_layer.3."}
    old = {}
    for key, tensor in state.items():
        for new_prefix, old_prefix in names.items():
            if key.startswith(new_prefix):
                key = key.replace(new_prefix, old_prefix)
                break
        old[key] = tensor
    torch.save({"state_dict": old}, tmp_path / "a.pth")
    assert_loads(tmp_path / "a.pth", ARCHITECTURES.get("hrnetv2")(21, width=18), state)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_official_hrnet_plain_or_parallel_new_or_legacy_file(prefix: str, zipped: bool, tmp_path: Path) -> None:
    network = ARCHITECTURES.get("hrnet")(17, width=18)
    state = network.state_dict()
    official = {
        prefix + key.removeprefix("backbone.").replace("head.final_layer", "final_layer"): tensor
        for key, tensor in state.items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(official, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert_loads(tmp_path / "a.pth", ARCHITECTURES.get("hrnet")(17, width=18), state)


def test_half_precision_safetensors(state: State, tmp_path: Path) -> None:
    half = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    save_file(half, tmp_path / "a.safetensors")
    rounded = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in half.items()}
    assert_loads(tmp_path / "a.safetensors", lite(), rounded)


def test_missing_unexpected_and_mis_shaped_keys_are_listed_and_nothing_is_loaded(state: State, tmp_path: Path) -> None:
    wrong = dict(state)
    del wrong["backbone.stem.conv1.conv.weight"]
    wrong["head.final_layer.bias"] = torch.zeros(5)
    wrong["backbone.extra.weight"] = torch.zeros(1)
    torch.save(wrong, tmp_path / "a.pth")
    network = lite()
    before = network.head.final_layer.weight.clone()
    with pytest.raises(CheckpointError) as caught:
        load_weights(network, tmp_path / "a.pth")
    message = str(caught.value)
    assert "1 missing: backbone.stem.conv1.conv.weight" in message
    assert "1 unexpected: backbone.extra.weight" in message
    assert "1 mis-shaped: head.final_layer.bias (5,) for (17,)" in message
    assert "\n" not in message
    assert torch.equal(network.head.final_layer.weight, before)


def test_another_family_is_recognized(tmp_path: Path) -> None:
    torch.save(ARCHITECTURES.get("hrnet")(17, width=18).state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="another network") as caught:
        load_weights(lite(), tmp_path / "a.pth")
    assert len(str(caught.value)) < 1000


def test_weights_that_are_not_finite_are_refused(state: State, tmp_path: Path) -> None:
    broken = {**state, "head.final_layer.bias": torch.full((17,), float("nan"))}
    torch.save(broken, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"not finite: head\.final_layer\.bias"):
        load_weights(lite(), tmp_path / "a.pth")
