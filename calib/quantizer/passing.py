"""What depthwise convolutions let pass, carried around them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, Operator, is_gate, passing_channels, set_constants

SHUT = -20.0  # a sigmoid of it is 2e-9


def carry_around(graph: Graph, convolutions: Collection[str], *, shut: bool) -> Graph:
    """The same function, in which some convolutions only compute what changes.

    The deploy form of conditional channel weighting multiplies whole tensors by gates and filters them, though it lets
    half of the channels pass: their gates are one. In INT8 they would be rounded again in each block, and gates that
    must come out as one take most of the range of what the sigmoid reads. Here the filters of such channels become
    zero, so do the weights that make their gates, and they are added to the result as they came.

    Args:
        graph: The network; no two of its convolutions share a filter.
        convolutions: Names of those to change; of them, those that let nothing pass stay as they are.
        shut: Gates of what passes become zero, so that only what is filtered needs the range of a quantizer; otherwise
            a half, so that what the sigmoid reads needs no range for them.

    Returns:
        The network, with the same names for all that was there before.
    """
    found = [_Passing.of(graph, op) for op in graph.convolutions if op.name in convolutions]
    ways = {way.convolution.name: way for way in found if way.channels.any()}
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    _clear(model, graph, list(ways.values()), SHUT if shut else 0.0)
    nodes = []
    for node in model.graph.node:
        node.name = str(node.name or node.output[0])
        nodes.append(node)
        if node.name in ways:
            mask = ways[node.name].channels.astype(np.float32).reshape(1, -1, 1, 1)
            model.graph.initializer.append(numpy_helper.from_array(mask, f"{node.name}.mask"))
            nodes += _around(node, ways[node.name].source)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return Graph(model)


@dataclass(frozen=True)
class _Passing:
    """The channels that pass a convolution.

    Attributes:
        convolution: It.
        channels: (C,) which they are.
        source: The tensor that they come from: what was gated, where nothing else needs their gates.
        squeeze: The convolution that makes their gates, if `source` is what was gated.
        first: Which of its rows makes the first channel's.
    """

    convolution: Operator
    channels: NDArray[np.bool_]
    source: str
    squeeze: Operator | None = None
    first: int = 0

    @classmethod
    def of(cls, graph: Graph, convolution: Operator) -> _Passing:
        source = convolution.inputs[0]
        channels, product = passing_channels(graph.weight(convolution)), graph.maker.get(source)
        if graph.shapes[source] != graph.shapes[convolution.outputs[0]]:
            channels = np.zeros_like(channels)  # of a strided one, only every other place passes
        plain = cls(convolution, channels, source)
        if product is None or product.kind != "Mul" or len(graph.readers(source)) > 1:
            return plain
        gates = [name for name in product.inputs if is_gate(graph, name)]
        others = [name for name in graph.data(product) if name not in gates]
        if len(gates) != 1 or len(others) != 1:
            return plain
        ahead, first = gates[0], 0
        while (maker := graph.maker[ahead]).kind != CONVOLUTION:
            if len(graph.readers(ahead)) > 1 or maker.kind == "Mul" or maker.inputs[0] not in graph.maker:
                return plain
            if maker.kind == "Split":
                first += sum(graph.channels(part) for part in maker.outputs[: maker.outputs.index(ahead)])
            ahead = maker.inputs[0]
        return cls(convolution, channels, others[0], maker, first)


def _clear(model: Any, graph: Graph, ways: list[_Passing], gate: float) -> None:
    """Zeros for the filters of what passes, and for what makes its gates, with this bias."""
    cleared: dict[str, NDArray[Any]] = {}

    def fill(name: str, rows: NDArray[np.int64], value: float) -> None:
        cleared.setdefault(name, graph.constants[name].copy())[rows] = value

    for way in ways:
        numbers = np.flatnonzero(way.channels)
        fill(way.convolution.inputs[1], numbers, 0)
        if way.squeeze is not None:
            fill(way.squeeze.inputs[1], way.first + numbers, 0)
            for name in way.squeeze.inputs[2:]:
                fill(name, way.first + numbers, gate)
    set_constants(model, cleared)


def _around(node: Any, source: str) -> list[Any]:
    """The nodes that add to a convolution's result what its mask lets pass of a tensor."""
    result = node.output[0]
    node.output[0], passed = f"{node.name}.computed", f"{node.name}.passed"
    return [
        helper.make_node("Mul", [source, f"{node.name}.mask"], [passed], f"{node.name}.pass"),
        helper.make_node("Add", [passed, node.output[0]], [result], f"{node.name}.join"),
    ]
