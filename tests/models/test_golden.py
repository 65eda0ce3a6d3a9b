"""The networks against outputs of the reference implementations, the whole way of users: card, checkpoint, runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgehr.models.build import ARCHITECTURES
from edgehr.models.checkpoints.loading import load_weights
from edgehr.models.runtime import TorchRuntime
from edgehr.zoo import list_models
from tests import golden_files

# Of the largest value. Sums in another order move outputs by up to 3e-6.
TOLERANCE = 2e-5
DEFAULTS = {
    "width": 0,
    "depth": "full",
    "variant": "lite",
    "upsampling": "nearest",
    "padding": "symmetric",
    "align_corners": False,
}


@pytest.mark.parametrize("path", golden_files.collect())
def test_networks_reproduce_the_reference(path: Path, tmp_path: Path) -> None:
    golden = golden_files.read(path)
    with TorchRuntime(golden.card, golden.save_weights(tmp_path)) as runtime:
        assert golden.difference(runtime.infer_batch(golden.image)) <= TOLERANCE


@pytest.mark.parametrize("path", golden_files.collect())
def test_published_cards_have_what_no_key_tells(path: Path) -> None:
    card = golden_files.read(path).card
    wanted = {**DEFAULTS, **card.parameters}
    published = [
        {**DEFAULTS, **known.parameters}
        for known in list_models()
        if (known.task, known.architecture) == (card.task, card.architecture)
    ]
    same = [
        known
        for known in published
        if all(known[key] == wanted[key] for key in ("width", "depth", "variant", "padding"))
    ]
    if not same:
        pytest.skip(f"no published {card.architecture} of {dict(card.parameters)} has a card")
    if golden_files.lacks_upsampling(path.stem):
        wanted["upsampling"] = "bilinear"
    assert all(known == wanted for known in same)


@pytest.mark.parametrize("path", golden_files.others())
def test_no_file_is_of_an_unknown_family(path: Path) -> None:
    what = "no .npz file" if path == golden_files.FOLDER else f"no family has the name of {path.name}"
    pytest.fail(f"{golden_files.FOLDER}: {what}; tests/golden_files.py has the families", pytrace=False)


def write_example(name: str, architecture: str, shape: tuple[int, ...], outputs: int, **parameters: Any) -> None:
    """Write a file as the golden ones are, of what edgehr's own network returns."""
    folder = golden_files.FOLDER
    network = ARCHITECTURES.get(architecture)(outputs, **parameters).eval()
    keys = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    if name.endswith("cls_official"):
        keys = {key.removeprefix("backbone.").replace("head.", ""): shape for key, shape in keys.items()}
    fill = golden_files.fill(folder / name)
    weights = {key: torch.as_tensor(value) for key, value in fill.fill(keys).items()}
    save_file(weights, folder / "weights.safetensors")
    load_weights(network, folder / "weights.safetensors")
    with torch.inference_mode():
        output = network(torch.from_numpy(fill.image(7, shape))).numpy()
    meta = json.dumps({"name": name, "input_seed": 7, "input_shape": shape, "keys": keys})
    np.savez_compressed(folder / f"{name}.npz", meta=meta, output0=output)


def test_further_files_are_tried_where_they_lie(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_files, "FOLDER", tmp_path)
    bilinear: dict[str, Any] = {"upsampling": "bilinear"}
    write_example("fcn_hr20s_mmseg", "hrnetv2", (1, 3, 32, 64), 7, width=20, depth="small_v2", **bilinear)
    write_example("hrnet_w18_small_v1_cls_official", "hrnet_classifier", (3, 3, 32, 32), 11, width=16, depth="small_v1")
    write_example("hrnet_w10_64x32_mmpose", "hrnet", (1, 3, 64, 32), 23, width=10)
    write_example("hrnetv2_w12_face_official", "hrnetv2", (2, 3, 32, 32), 68, width=12, **bilinear)
    write_example("litehrnet18_naive_mmpose", "lite_hrnet", (1, 3, 32, 32), 5, depth=18, variant="naive")
    write_example("ocrnet_hr8s_mmseg", "hrnet_ocr", (1, 3, 32, 32), 300, width=8, depth="small_v2")
    found = golden_files.collect()
    assert len(found) == len(list(tmp_path.glob("*.npz"))) == 6
    for parameter in found:
        test_networks_reproduce_the_reference(*parameter.values, tmp_path)
    assert [each.id for each in golden_files.collect("hrnetv2", task="landmarks")] == ["hrnetv2_w12_face_official"]


def test_files_that_are_not_what_their_names_say_fail_in_one_line(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden_files, "FOLDER", tmp_path)
    write_example("hrnet_w8_mmpose", "hrnet", (1, 3, 64, 64), 3, width=8)
    right, wrong = tmp_path / "hrnet_w8_mmpose.npz", tmp_path / "hrnet_w32_mmpose.npz"
    right.rename(wrong)
    (tmp_path / "hrnet_w9_mmpose.npz").write_bytes(b"PK")
    (tmp_path / "fcos_hrnetv2p_mmdet.npz").touch()
    (tmp_path / "segformer_b0.npz").touch()
    for path, message in (
        (wrong, "its name says W32, its keys W8"),
        (tmp_path / "hrnet_w9_mmpose.npz", "not a golden"),
    ):
        with pytest.raises(pytest.fail.Exception, match=message):
            golden_files.read(path)
    (unknown,) = (parameter.values[0] for parameter in golden_files.others())
    with pytest.raises(pytest.fail.Exception, match=r"no family has the name of segformer_b0\.npz"):
        test_no_file_is_of_an_unknown_family(unknown)
