"""The parts of a network that stay in float together: its stem, each branch and fusion of each module, its head."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgehr.calib.quantizer.graph.onnx_graph import Graph, Operator
from edgehr.calib.quantizer.placement import Placement

_MODULE = r"(?:stages\.\d+|stage\d+)\.\d+"
# The part of a weight's module path that is its block's; the first pattern that fits counts.
_PATTERNS = (
    (re.compile(rf"({_MODULE})\.(?:up|down|fuse_layers)\.(\d+)\."), "{}.fuse.{}"),
    (re.compile(rf"({_MODULE}\.(?:blocks\.branches|blocks\.blocks|branches|blocks)\.\d+)\."), "{}"),
    (re.compile(r"(layer\d+\.\d+|transitions?\.?\d+|head_layer\.projects\.\d+)\."), "{}"),
    (re.compile(r"(?:conv\d|stem)\."), "stem"),
    (re.compile(r"(\w+)\."), "{}"),
)
_PREFIX, _SUFFIX = "backbone.", "weight"


@dataclass(frozen=True)
class Block:
    """Convolutions that are quantized, or stay in float, together.

    Attributes:
        name: Path of their module in the PyTorch network, ``stages.1.0.blocks.0``; ``stages.1.0.fuse.2`` is what is
            added to the third branch of that module from its others.
        convolutions: Names of the convolutions.
        macs: Their multiply-adds for one image.
        weights: Number of their weights.
    """

    name: str
    convolutions: tuple[str, ...]
    macs: int
    weights: int


def find_blocks(graph: Graph, placement: Placement) -> list[Block]:
    """Find the blocks of a graph whose weights are named as the PyTorch network names them, in the order of running.

    Args:
        graph: A network with sizes that are known.
        placement: Its quantizers: convolutions that it leaves in float belong to no block.

    Returns:
        The blocks that have something to quantize. Where a weight's name tells no module, a convolution is a block.
    """
    members: dict[str, list[Operator]] = {}
    for operator in graph.convolutions:
        if operator.name not in placement.float_data:
            members.setdefault(block_name(operator), []).append(operator)
    return [
        Block(
            name,
            tuple(operator.name for operator in found),
            sum(graph.multiply_adds(operator) for operator in found),
            sum(graph.weight(operator).size for operator in found),
        )
        for name, found in members.items()
    ]


def block_name(convolution: Operator) -> str:
    """Name the block that a convolution belongs to, by the name of its weight."""
    path = convolution.inputs[1].removeprefix(_PREFIX)
    if not path.endswith(f".{_SUFFIX}"):
        return convolution.name
    for pattern, name in _PATTERNS:
        if found := pattern.match(path):
            return name.format(*found.groups())
    return convolution.name
