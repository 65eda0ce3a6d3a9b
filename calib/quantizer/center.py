"""Channels moved so that they reach as far below zero as above it.

A quantizer's steps are spread evenly around zero, or have one zero for all channels, so a channel that lies to one side
of it leaves some of them unused. Moved by a constant, which the biases of those who read it take back, it needs a
shorter range (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, move what is
beyond a ReLU). Only 1x1 convolutions that do not pad can take it back: others' zeros would move, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, Operator, remove_constants
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.noise import far_out
from edgehr.calib.quantizer.operators import padding_of
from edgehr.calib.quantizer.placement import NOWHERE

Middles = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Reach:
    """How far the channels of a tensor reach: (C,) each.

    Attributes:
        low: What few values are below.
        high: What few values are above.
    """

    low: Tensor
    high: Tensor

    @property
    def middle(self) -> NDArray[np.float64]:
        """(C,) what is to be subtracted."""
        middle: NDArray[np.float64] = ((self.low + self.high) / 2).double().numpy()
        return middle


def measure_reach(graph: Graph, crops: NDArray[np.float32]) -> dict[str, Reach]:
    """The reach of what 1x1 convolutions take, on crops (N, 3, H, W)."""
    wanted = {op.inputs[0] for op in graph.convolutions if takes_back(graph, op)}
    lows: dict[str, list[Tensor]] = {name: [] for name in wanted}
    highs: dict[str, list[Tensor]] = {name: [] for name in wanted}

    def reach(name: str, value: Tensor) -> None:
        if name in wanted:
            lows[name].append(-far_out(-value))
            highs[name].append(far_out(value))

    Network(graph, NOWHERE).run(crops, reach)
    return {name: Reach(torch.stack(lows[name]).mean(0), torch.stack(highs[name]).mean(0)) for name in sorted(wanted)}


def centered(graph: Graph, reaches: Mapping[str, Reach]) -> tuple[Graph, set[str]]:
    """The same function, in which what 1x1 convolutions alone take of another convolution is centered, by its bias.

    Args:
        graph: The network.
        reaches: Of what 1x1 convolutions take.

    Returns:
        The network, and the names of the tensors that are centered in it.
    """
    inner = {op.outputs[0]: op for op in graph.convolutions if _is_inner(graph, op)}
    biases = {op.name: graph.bias(op).astype(np.float64) for op in graph.convolutions}
    for name, maker in inner.items():
        biases[maker.name] -= reaches[name].middle
        for reader in graph.readers(name):
            biases[reader.name] += _response(graph, reader, reaches[name].middle)
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    _set_biases(model, biases)
    return Graph(model), set(inner)


def moved(graph: Graph, convolutions: Collection[str], middles: Middles) -> Graph:
    """The same function, in which an operator of its own centers what some 1x1 convolutions take.

    Args:
        graph: The network.
        convolutions: Names of those that are to take it so; others read the tensor as it is.
        middles: (C,) by tensor.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    readers = {
        name: [op for op in graph.readers(name) if op.name in convolutions and takes_back(graph, op)]
        for name in middles
    }
    biases: dict[str, NDArray[np.float64]] = {}
    for name, takers in readers.items():
        for op in takers:
            biases[op.name] = graph.bias(op).astype(np.float64) + _response(graph, op, middles[name])
    _set_biases(model, biases)
    nodes = []
    for node in model.graph.node:
        if node.op_type == CONVOLUTION and str(node.name or node.output[0]) in biases:
            node.input[0] = f"{node.input[0]}.centered"
        nodes.append(node)
        for name in node.output:
            if readers.get(name):
                constant = (-middles[name]).astype(np.float32).reshape(1, -1, 1, 1)
                model.graph.initializer.append(numpy_helper.from_array(constant, _constant(name)))
                nodes.append(helper.make_node("Add", [name, _constant(name)], [f"{name}.centered"], f"{name}.center"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return Graph(model)


def _constant(tensor: str) -> str:
    return f"{tensor}.middle"


def _response(graph: Graph, convolution: Operator, middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """(out,) what a 1x1 convolution makes of a constant (C,)."""
    response: NDArray[np.float64] = graph.weight(convolution)[:, :, 0, 0].astype(np.float64) @ middle
    return response


def _is_inner(graph: Graph, convolution: Operator) -> bool:
    """Whether a convolution is read by 1x1 convolutions and nobody else."""
    result = convolution.outputs[0]
    readers = graph.readers(result)
    alone = bool(readers) and result != graph.output
    return alone and all(takes_back(graph, reader) for reader in readers)


def takes_back(graph: Graph, operator: Operator) -> bool:
    """Whether an operator is a convolution whose bias can make up for its input being moved, channel by channel."""
    if operator.kind != CONVOLUTION:
        return False
    whole = (graph.channels(operator.inputs[0]), 1, 1)
    return graph.weight(operator).shape[1:] == whole and padding_of(operator) == (0, 0)


def _set_biases(model: onnx.ModelProto, biases: Mapping[str, NDArray[np.float64]]) -> None:
    """Give convolutions other biases, by name, in place; some have none yet."""
    fresh = {f"{name}.bias": bias.astype(np.float32) for name, bias in biases.items()}
    remove_constants(model, fresh)
    model.graph.initializer.extend(numpy_helper.from_array(bias, name) for name, bias in fresh.items())
    for node in model.graph.node:
        operator = str(node.name or node.output[0])
        if operator in biases:
            del node.input[2:]
            node.input.append(f"{operator}.bias")
