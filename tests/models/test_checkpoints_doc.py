"""The commands that the page on checkpoints gives for checkpoints of one's own training work on such checkpoints."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from edgehr.card import ModelCard
from edgehr.cli.main import main
from edgehr.models.checkpoints.loading import load_weights
from tests.conftest import ROOT
from tests.models.little_pose import STATE, Pose
from tests.models.narrow_hrnet import CARD

FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## A checkpoint of your own training\n(.*?)^## ", re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    section = SECTION.search((ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8"))
    assert section
    return [shlex.split(line) for block in FENCE.findall(section[1]) for line in block.splitlines()]


class InLightning(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.pose = network
        self.loss = nn.BCEWithLogitsLoss(pos_weight=torch.ones(17))


def save_all(network: nn.Module, worse: nn.Module) -> None:
    """Write the files of the page, the weights that are to be taken from each those of `network`."""
    state, others = network.state_dict(), worse.state_dict()
    mmengine = {"meta": {"mmengine_version": "0.10.7", "epoch": 210}, "message_hub": {}, "state_dict": state}
    averages = {f"ema_{key.replace('.', '_')}": tensor for key, tensor in others.items()}
    old = {key.replace("head.", "keypoint_head.", 1): tensor for key, tensor in state.items()}
    compiled: Any = torch.compile(nn.DataParallel(network))
    files = {
        "work_dirs/mine/best_coco_AP_epoch_210.pth": {**mmengine, "ema_state_dict": AveragedModel(worse).state_dict()},
        "work_dirs/old/epoch_210.pth": {"meta": {"mmpose_version": "0.29"}, "state_dict": {**old, **averages}},
        "lightning_logs/version_0/checkpoints/epoch=9-step=1000.ckpt": {
            "state_dict": InLightning(network).state_dict(),
            "pytorch-lightning_version": "2.6.0",
            "hyper_parameters": {"lr": 0.1},
        },
        "compiled.pth": compiled.state_dict(),
        "last.pth": {"state_dict": state, "state_dict_ema": others},
        "whole.pt": network,
    }
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, name)
    torch.jit.save(torch.jit.trace(network.eval(), torch.zeros(1, 3, 8, 8)), "scripted.pt")


class OpenedError(Exception):
    """In place of a conversion, which takes long: a network with the weights."""

    def __init__(self, _card: ModelCard, weights: Path, *_more: object, **_options: object) -> None:
        super().__init__()
        self.network = Pose(2)
        load_weights(self.network, weights)


def opened(*arguments: Any, **options: Any) -> None:
    raise OpenedError(*arguments, **options)


@pytest.mark.filterwarnings("ignore")
def test_every_recipe_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setattr("edgehr.converters.convert.convert", opened)
    Path("mine.json").write_text(json.dumps(replace(CARD, name="mine").to_dict()), encoding="utf-8")
    save_all(Pose(0), Pose(1))
    for program, *arguments in commands():
        if program == "python":
            assert arguments[0] == "-c"
            exec(arguments[1], {})  # noqa: S102 - our own page
            continue
        with pytest.raises(OpenedError) as caught:
            main(arguments)
        for name, tensor in STATE.items():
            if not name.endswith("num_batches_tracked"):
                assert torch.equal(caught.value.network.state_dict()[name], tensor), (arguments, name)
    assert len(commands()) == 9
