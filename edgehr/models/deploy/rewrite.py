"""Rewrite trained networks for inference: the same function, from the same weights."""

from __future__ import annotations

from torch import Tensor, nn

from edgehr.models.backbones.lite_hrnet import LiteHRNet
from edgehr.models.deploy.forms import SHUFFLE_FREE, Form
from edgehr.models.deploy.lite_hrnet import DeployLiteHRNet
from edgehr.models.network import Network


class TransposedHead(nn.Module):
    """A head whose heatmaps are turned from channels last to channels first by an operator of its own.

    It views the maps as (N, H W, K) between two permutations that undo each other, so that no runtime that stores
    channels last can merge the turn into the operators around it.
    """

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        self.original = original

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches to heatmaps (N, K, H / 4, W / 4)."""
        maps: Tensor = self.original(branches).permute(0, 2, 3, 1)
        height, width, outputs = maps.shape[1:]
        return maps.reshape(-1, height * width, outputs).permute(0, 2, 1).reshape(-1, outputs, height, width)


def deploy(network: Network, form: Form = SHUFFLE_FREE) -> tuple[Network, str]:
    """Rewrite a trained network for inference.

    Args:
        network: In inference mode; it stays as it is.
        form: How; `form` of a target has what it likes.

    Returns:
        The rewritten network, and in words what was done.
    """
    # Units are rewritten two in a row, over which a channel is in one of four places.
    if isinstance(network.backbone, LiteHRNet) and all(channels % 4 == 0 for channels in network.backbone.channels):
        head = TransposedHead(network.head) if form.transpose_output else network.head
        rewritten = Network(DeployLiteHRNet(network.backbone, form), head, network.finish)
        return rewritten.eval().requires_grad_(False), "no shuffles, batch norm folded"
    return network, "as trained"
