"""The form of a network that is made for inference: the same function, from the same weights."""

from __future__ import annotations

from edgehr.models.build import PoseNetwork
from edgehr.models.deploy_lite import DeployLiteHRNet
from edgehr.models.lite_hrnet import LiteHRNet


def deploy(network: PoseNetwork) -> tuple[PoseNetwork, str]:
    """Rewrite a trained network for inference.

    Args:
        network: In inference mode; it stays as it is.

    Returns:
        The rewritten network, and in words what was done.
    """
    if isinstance(network.backbone, LiteHRNet):
        rewritten = PoseNetwork(DeployLiteHRNet(network.backbone), network.head)
        return rewritten.eval().requires_grad_(False), "no shuffles, batch norm folded"
    return network, "as trained"
