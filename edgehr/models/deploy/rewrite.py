"""The form of a network that is made for inference: the same function, from the same weights."""

from __future__ import annotations

from torch import Tensor, nn

from edgehr.models.backbones.lite_hrnet import LiteHRNet
from edgehr.models.build import PoseNetwork
from edgehr.models.deploy.forms import SHUFFLE_FREE, Form
from edgehr.models.deploy.lite_hrnet import DeployLiteHRNet


class ChannelsLastHead(nn.Module):
    """A head whose heatmaps are turned from channels last to channels first by an operator of its own."""

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        self.original = original

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Branches -> (N, K, H / 4, W / 4)."""
        maps: Tensor = self.original(branches).permute(0, 2, 3, 1)
        height, width, outputs = maps.shape[1:]
        return maps.reshape(-1, height * width, outputs).permute(0, 2, 1).reshape(-1, outputs, height, width)


def deploy(network: PoseNetwork, form: Form = SHUFFLE_FREE) -> tuple[PoseNetwork, str]:
    """Rewrite a trained network for inference.

    Args:
        network: In inference mode; it stays as it is.
        form: How; `edgehr.models.deploy.forms.FORMS` has what each target likes.

    Returns:
        The rewritten network, and in words what was done.
    """
    if isinstance(network.backbone, LiteHRNet):
        head = ChannelsLastHead(network.head) if form.turn_output else network.head
        rewritten = PoseNetwork(DeployLiteHRNet(network.backbone, form), head)
        return rewritten.eval().requires_grad_(False), "no shuffles, batch norm folded"
    return network, "as trained"
