"""Build networks from their cards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.models.backbones.layers import check_size
from edgehr.models.checkpoints.loading import load_weights
from edgehr.models.network import Network
from edgehr.registry import Registry

# A builder takes the number of channels that the head makes, and the parameters in the card by name.
ARCHITECTURES: Registry[Callable[..., Network]] = Registry(
    "architecture",
    {
        "hrnet": "edgehr.models.architectures.networks:hrnet",
        "hrnetv2": "edgehr.models.architectures.networks:hrnetv2",
        "hrnet_ocr": "edgehr.models.architectures.networks:hrnet_ocr",
        "hrnet_fcos": "edgehr.models.architectures.networks:hrnet_fcos",
        "hrnet_rcnn": "edgehr.models.architectures.networks:hrnet_rcnn",
        "hrnet_classifier": "edgehr.models.architectures.networks:hrnet_classifier",
        "lite_hrnet": "edgehr.models.architectures.networks:lite_hrnet",
    },
)


def build(card: ModelCard) -> Network:
    """Build the network that a card describes, in inference mode, with weights not yet loaded.

    Raises:
        EdgehrError: The architecture or its parameters are unknown, or the input size does not suit it.
    """
    check_size(card.input.height, card.input.width)
    builder, parameters = ARCHITECTURES.get(card.architecture), dict(card.parameters)
    try:
        network = builder(card.spec.num_outputs, **parameters)
    except (TypeError, KeyError, ValueError, RuntimeError) as error:
        raise EdgehrError(f"{card.architecture} cannot be built from {parameters}: {error}") from None
    return network.eval().requires_grad_(False)


def load(card: ModelCard, path: Path) -> Network:
    """Build the network that a card describes and load a checkpoint into it.

    Raises:
        CheckpointError: The file cannot be read or does not fit the network.
    """
    network = build(card)
    load_weights(network, path)
    return network
