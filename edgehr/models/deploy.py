"""The form of a network that is made for inference: the same function, from the same weights."""

from __future__ import annotations

from edgehr.models.build import PoseNetwork
from edgehr.models.deploy_lite import DeployLiteHRNet
from edgehr.models.lite_hrnet import LiteHRNet


def deploy(network: PoseNetwork, *, joined_stem: bool = False) -> tuple[PoseNetwork, str]:
    """Rewrite a trained network for inference.

    Args:
        network: In inference mode; it stays as it is.
        joined_stem: See `edgehr.models.deploy_lite.DeployStem`; nothing else has such a stem.

    Returns:
        The rewritten network, and in words what was done.
    """
    if isinstance(network.backbone, LiteHRNet):
        rewritten = PoseNetwork(DeployLiteHRNet(network.backbone, joined_stem=joined_stem), network.head)
        return rewritten.eval().requires_grad_(False), "no shuffles, batch norm folded"
    return network, "as trained"
