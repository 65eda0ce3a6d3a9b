"""PyTorch to TFLite, by `litert-torch` (no TensorFlow)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgehr.card import ModelCard
from edgehr.converters.quiet import quiet
from edgehr.errors import EdgehrError, first_line

SIGNATURE = "serving_default"  # what runtimes look for when no name is given


class _Named(nn.Module):
    """Gives the input and the output the card's names, and both the layout of mobile cameras and delegates.

    The two permutations meet those that the converter puts around its channels-last convolutions, and vanish.
    """

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.network = network
        self.input, self.output = card.input.name, card.outputs[0].name
        self.channels_last = card.layout == "nhwc"

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        image = inputs[self.input]
        if not self.channels_last:
            return {self.output: self.network(image)}
        return {self.output: self.network(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)}


def to_tflite(network: nn.Module, card: ModelCard, batch: int) -> bytes:
    """Convert a network.

    Args:
        network: In inference mode: (N, 3, H, W) to (N, K, H / 4, W / 4).
        card: The model; its `layout` is that of the artifact.
        batch: Images per inference.

    Returns:
        A float32 `.tflite` with one signature whose names are the card's.

    Raises:
        EdgehrError: litert-torch cannot convert it.
    """
    height, width = card.input.height, card.input.width
    shape = (batch, height, width, 3) if card.layout == "nhwc" else (batch, 3, height, width)
    wrapped = _Named(network, card).eval()
    with quiet():
        import litert_torch

        try:
            model: Any = litert_torch.convert(wrapped, sample_kwargs={card.input.name: torch.zeros(shape)})
            return bytes(model.model_content())
        except Exception as error:  # of torch.export, MLIR and the converter; they share no base class
            raise EdgehrError(f"{card.name}: litert-torch cannot convert it: {first_line(error, 300)}") from error
