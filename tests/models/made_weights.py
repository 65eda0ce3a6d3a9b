"""Weights of networks that nobody has trained, as well-behaved as trained ones: for tests and the model matrix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from edgehr.card import ModelCard
from edgehr.converters.compare import comparison_batch
from edgehr.models.backbones.hrnet import BasicBlock, Bottleneck, HRModule
from edgehr.models.backbones.lite_hrnet import LiteHRModule
from edgehr.models.build import build

IMAGES = 4  # whose statistics normalization has
SUMMAND = 0.2  # how large what is added to a map is beside it


def make_weights(network: nn.Module, images: NDArray[np.float32]) -> None:
    """Draw convolutions, always the same, and take the statistics of normalization from images (N, 3, H, W).

    So no value vanishes or grows from layer to layer, and outputs differ from image to image. What residual blocks and
    fusions add is small beside what they add it to: were both alike, every layer would enlarge the rounding errors of
    those before it, and half precision of a whole W18 would be off by 4 % where trained networks are by 0.1 to 0.4 %.
    """
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, mean=1.0, std=0.2)
    for norm in _before_sums(network):
        for tensor in (norm.weight, norm.bias):
            tensor.data *= SUMMAND
    training = network.training
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # plain averages
            module.train()
    with torch.inference_mode():
        network(torch.from_numpy(images[:IMAGES]))
    network.train(training)


def save_made_weights(card: ModelCard, path: Path) -> None:
    """Write a checkpoint of them for a card; the images are parts of the photographs that ship with edgehr."""
    network = build(card)
    make_weights(network, comparison_batch(card))
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


def _before_sums(network: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """List the normalizations whose results are added to something else."""
    for module in network.modules():
        if isinstance(module, BasicBlock):
            yield module.bn2
        if isinstance(module, Bottleneck):
            yield module.bn3
        if isinstance(module, HRModule | LiteHRModule):
            for layer in (layer for target in module.fuse_layers for layer in target):  # type: ignore[union-attr]
                norms = [each for each in layer.modules() if isinstance(each, nn.BatchNorm2d)]
                yield from norms[-1:]
