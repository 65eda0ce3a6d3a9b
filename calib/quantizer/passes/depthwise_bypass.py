"""Channels that depthwise convolutions leave unchanged, added to the result around them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgehr.calib.quantizer.graph.onnx_graph import (
    CONVOLUTION,
    Graph,
    Operator,
    copy_model,
    identity_channels,
    is_gate,
    set_constants,
)

CLOSED = -20.0  # a sigmoid of it is 2e-9


def bypass_depthwise(graph: Graph, convolutions: Collection[str], *, close_gates: bool) -> Graph:
    """Let some depthwise convolutions only compute what changes; the function stays the same.

    The deploy form of conditional channel weighting multiplies whole tensors by gates and filters them, though it
    leaves half of the channels unchanged: their gates are one. In INT8 they would be rounded again in each block, and
    gates that must come out as one take most of the range of what the sigmoid reads. Here the filters of such channels
    become zero, so do the weights that make their gates, and they are added to the result as they came.

    Args:
        graph: The network; no two of its convolutions share a filter.
        convolutions: Names of those to change; of them, those that leave no channel unchanged stay as they are.
        close_gates: Gates of unchanged channels become zero, so that only what is filtered needs the range of a
            quantizer; otherwise a half, so that what the sigmoid reads needs no range for them.

    Returns:
        The network, with the same names for all that was there before.
    """
    found = [_find_bypass(graph, op) for op in graph.convolutions if op.name in convolutions]
    bypasses = {bypass.convolution.name: bypass for bypass in found if bypass.channels.any()}
    cleared: dict[str, NDArray[Any]] = {}

    def fill(name: str, rows: NDArray[np.int64], value: float) -> None:
        cleared.setdefault(name, graph.constants[name].copy())[rows] = value

    for bypass in bypasses.values():
        channels = np.flatnonzero(bypass.channels)
        fill(bypass.convolution.inputs[1], channels, 0)
        if bypass.squeeze is not None:
            fill(bypass.squeeze.inputs[1], bypass.first_gate + channels, 0)
            for name in bypass.squeeze.inputs[2:]:
                fill(name, bypass.first_gate + channels, CLOSED if close_gates else 0.0)
    model = copy_model(graph)
    set_constants(model, cleared)
    nodes = []
    for node in model.graph.node:
        name = node.name = str(node.name or node.output[0])
        nodes.append(node)
        if name in bypasses:
            mask = bypasses[name].channels.astype(np.float32).reshape(1, -1, 1, 1)
            model.graph.initializer.append(numpy_helper.from_array(mask, f"{name}.mask"))
            result, computed, unchanged = node.output[0], f"{name}.computed", f"{name}.passed"
            node.output[0] = computed
            nodes.append(helper.make_node("Mul", [bypasses[name].source, f"{name}.mask"], [unchanged], f"{name}.pass"))
            nodes.append(helper.make_node("Add", [unchanged, computed], [result], f"{name}.join"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return Graph(model)


@dataclass(frozen=True)
class _Bypass:
    """The channels that a depthwise convolution leaves unchanged.

    Attributes:
        convolution: The convolution.
        channels: (C,) mask of the channels.
        source: The tensor that they come from: what was gated, where nothing else needs their gates.
        squeeze: The convolution that makes their gates, if `source` is what was gated.
        first_gate: Output channel of `squeeze` that makes the first channel's gate.
    """

    convolution: Operator
    channels: NDArray[np.bool_]
    source: str
    squeeze: Operator | None = None
    first_gate: int = 0


def _find_bypass(graph: Graph, convolution: Operator) -> _Bypass:
    """Find the channels that a convolution leaves unchanged, and follow their gates to the convolution that makes them.

    There is no `squeeze` where the gates have other consumers.
    """
    source = convolution.inputs[0]
    channels, product = identity_channels(graph.weight(convolution)), graph.producer.get(source)
    if graph.shapes[source] != graph.shapes[convolution.outputs[0]]:
        channels = np.zeros_like(channels)  # a strided one drops every other position
    ungated = _Bypass(convolution, channels, source)
    if product is None or product.kind != "Mul" or len(graph.consumers(source)) > 1:
        return ungated
    gates = [name for name in product.inputs if is_gate(graph, name)]
    others = [name for name in graph.data(product) if name not in gates]
    if len(gates) != 1 or len(others) != 1:
        return ungated
    ahead, first_gate = gates[0], 0
    while (producer := graph.producer[ahead]).kind != CONVOLUTION:
        if len(graph.consumers(ahead)) > 1 or producer.kind == "Mul" or producer.inputs[0] not in graph.producer:
            return ungated
        if producer.kind == "Split":
            first_gate += sum(graph.channels(part) for part in producer.outputs[: producer.outputs.index(ahead)])
        ahead = producer.inputs[0]
    return _Bypass(convolution, channels, others[0], producer, first_gate)
