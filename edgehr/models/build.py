"""From a card to a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.models.backbones.hrnet import HRNet
from edgehr.models.backbones.layers import check_size
from edgehr.models.backbones.lite_hrnet import LiteHRNet
from edgehr.models.checkpoints.loading import load_weights
from edgehr.models.heads.heatmap import ConcatHeatmapHead, HeatmapHead


class PoseNetwork(nn.Module):
    """A backbone and a heatmap head: (N, 3, H, W) to (N, K, H / 4, W / 4)."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, 3, H, W), H and W divisible by 32 -> heatmaps (N, K, H / 4, W / 4)."""
        result: Tensor = self.head(self.backbone(image))
        return result


def _hrnet(outputs: int, width: int) -> PoseNetwork:
    backbone = HRNet(width)
    return PoseNetwork(backbone, HeatmapHead(backbone.channels, outputs))


def _hrnetv2(outputs: int, width: int) -> PoseNetwork:
    backbone = HRNet(width, all_branches=True)
    return PoseNetwork(backbone, ConcatHeatmapHead(backbone.channels, outputs))


def _lite_hrnet(outputs: int, depth: int, variant: str = "lite") -> PoseNetwork:
    backbone = LiteHRNet(depth, variant)
    return PoseNetwork(backbone, HeatmapHead(backbone.channels, outputs))


BUILDERS: dict[str, Callable[..., PoseNetwork]] = {
    "hrnet": _hrnet,
    "hrnetv2": _hrnetv2,
    "lite_hrnet": _lite_hrnet,
}


def build(card: ModelCard) -> PoseNetwork:
    """Make the network that a card describes, in inference mode, with weights not yet loaded.

    Raises:
        EdgehrError: The architecture or its parameters are unknown, or the input size does not suit it.
    """
    check_size(card.input.height, card.input.width)
    builder = BUILDERS.get(card.architecture)
    if builder is None:
        raise EdgehrError(f"unknown architecture {card.architecture!r}: expected one of {', '.join(BUILDERS)}")
    parameters: dict[str, Any] = dict(card.parameters)
    try:
        network = builder(len(card.keypoints.names), **parameters)
    except (TypeError, KeyError, ValueError, RuntimeError) as error:
        raise EdgehrError(f"{card.architecture} cannot be built from {parameters}: {error}") from None
    return network.eval().requires_grad_(False)


def load(card: ModelCard, path: Path) -> PoseNetwork:
    """Make the network that a card describes and load a checkpoint into it.

    Raises:
        CheckpointError: The file cannot be read or does not fit the network.
    """
    network = build(card)
    load_weights(network, path)
    return network
