"""A network of a few layers with the names of mmpose 1.x, its weights, and what is asked of files that hold them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgehr.errors import CheckpointError
from edgehr.models.checkpoints.loading import load_weights

State = dict[str, torch.Tensor]


class Pose(nn.Module):
    """A network with the names of mmpose 1.x."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.backbone, self.head = nn.Module(), nn.Module()
        self.backbone.conv1 = nn.Conv2d(3, 8, 3)
        self.backbone.bn1 = nn.BatchNorm2d(8)
        self.backbone.stage2 = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.head.final_layer = nn.Conv2d(8, 17, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.backbone.stage2(self.backbone.bn1(self.backbone.conv1(image)))
        heatmaps: torch.Tensor = self.head.final_layer(features)
        return heatmaps


STATE: State = dict(Pose(0).state_dict())
OTHER: State = dict(Pose(1).state_dict())
OFFICIAL = {key.removeprefix("backbone.").removeprefix("head."): tensor for key, tensor in STATE.items()}
NAME = "backbone.conv1.weight"


def prefixed(prefix: str, state: State = STATE) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def assert_loads(path: Path, expected: State = STATE) -> None:
    network = Pose(2)
    load_weights(network, path)
    loaded = network.state_dict()
    for key, tensor in expected.items():
        assert torch.equal(loaded[key], tensor), key


def assert_refused(path: Path, match: str) -> str:
    network = Pose(2)
    with pytest.raises(CheckpointError, match=match) as caught:
        load_weights(network, path)
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable()
    assert torch.equal(network.backbone.conv1.weight, Pose(2).backbone.conv1.weight)
    return message
