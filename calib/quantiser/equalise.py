"""Equalisation: the same network, rescaled so that the channels of each quantised tensor have like ranges.

One step size serves all channels of a tensor, so a channel of small values has few of its steps. ReLU, sums, resizing
and pooling commute with a positive factor for each channel, so such factors can move between a convolution that writes
a channel and those that read it (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
2019, for pairs of convolutions). Here factors are found for all channels of a graph together, from the ranges of the
quantised tensors and the weights that read them.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from edgehr.calib.quantiser.channels import FIXED, ChannelClasses
from edgehr.calib.quantiser.graph import Graph, Operator, is_depthwise
from edgehr.calib.quantiser.network import Network
from edgehr.calib.quantiser.placement import Placement

ROUNDS = 8
DAMPING = 0.7  # of a round, because every factor meets several tensors and layers
LEAST = 1e-4  # of the largest range: smaller ones are not raised further

Floats = NDArray[np.float64]


def equalise(graph: Graph, placement: Placement, crops: NDArray[np.float32], alpha: float) -> Graph:
    """Rescale the channels of a network.

    Args:
        graph: The network.
        placement: Its quantisers: ranges are evened out within each.
        crops: (N, 3, H, W), to measure ranges on.
        alpha: 0 leaves the ranges of activations as they are where weights would suffer, 1 evens them out whatever
            becomes of the weights.

    Returns:
        A graph that computes the same, but for rounding of float32.
    """
    classes = ChannelClasses(graph)
    factors = _solve(graph, placement, classes, _ranges(graph, placement, classes, crops), alpha)
    return rescaled(graph, classes, factors)


def rescaled(graph: Graph, classes: ChannelClasses, factors: Floats) -> Graph:
    """Divide the channels of each class by its factor, in the weights that write and read them.

    Args:
        graph: The network.
        classes: Of its channels.
        factors: (classes.count,) positive; that of the fixed class is taken as 1.
    """
    factors = factors.copy()
    factors[FIXED] = 1
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    fresh: dict[str, NDArray[np.float32]] = {}
    for operator in graph.convolutions:
        source, result = factors[classes[operator.inputs[0]]], factors[classes[operator.outputs[0]]]
        weight = graph.weight(operator).astype(np.float64) / result.reshape(-1, 1, 1, 1)
        shape = (-1, 1, 1, 1) if is_depthwise(weight) else (1, -1, 1, 1)
        fresh[operator.inputs[1]] = (weight * source.reshape(shape)).astype(np.float32)
        if len(operator.inputs) > 2:
            fresh[operator.inputs[2]] = (graph.bias(operator) / result).astype(np.float32)
    for tensor in model.graph.initializer:
        if tensor.name in fresh:
            tensor.CopyFrom(numpy_helper.from_array(fresh[tensor.name], tensor.name))
    return Graph(model)


def _ranges(graph: Graph, placement: Placement, classes: ChannelClasses, crops: NDArray[np.float32]) -> Floats:
    """The largest magnitude of each class in the quantised tensors that it is in; 0 where it is in none."""
    ranges = np.zeros(classes.count)

    def reach(name: str, value: Tensor) -> None:
        if name in placement.groups:
            np.maximum.at(ranges, classes[name], value.abs().amax((0, 2, 3)).double().numpy())

    Network(graph, placement).run(crops, reach)
    return ranges


def _solve(graph: Graph, placement: Placement, classes: ChannelClasses, ranges: Floats, alpha: float) -> Floats:
    """Balance, round by round, each class's share of its tensors' ranges with its weights' share of their rows."""
    factors = np.ones(classes.count)
    members: dict[int, set[int]] = {}
    for tensor, group in placement.groups.items():
        members.setdefault(group, set()).update(classes[tensor].tolist())
    groups = [np.array(sorted(group)) for group in members.values()]
    for _ in range(ROUNDS):
        columns = np.zeros(classes.count)
        for operator in graph.convolutions:
            if not is_depthwise(graph.weight(operator)):  # there each row has a step of its own, which takes any factor
                np.maximum.at(columns, classes[operator.inputs[0]], _columns(graph, operator, classes, factors))
        shares = _shares(groups, ranges / factors)
        live = shares > 0
        live[FIXED] = False
        activations, weights = np.maximum(shares, LEAST), np.maximum(columns, LEAST)
        balance = np.where(columns > 0, activations**alpha / weights ** (1 - alpha), activations)
        factors[live] *= balance[live] ** DAMPING
    return factors


def _shares(groups: list[NDArray[np.int64]], ranges: Floats) -> Floats:
    """The range of each class over that of its quantiser; the largest of these where it meets several."""
    shares = np.zeros(len(ranges))
    for group in groups:
        largest = max(float(ranges[group].max()), 1e-12)
        shares[group] = np.maximum(shares[group], ranges[group] / largest)
    return shares


def _columns(graph: Graph, operator: Operator, classes: ChannelClasses, factors: Floats) -> Floats:
    """(C,) of each channel that a convolution reads, its largest weight over the largest one of the same row."""
    weight = np.abs(graph.weight(operator)).max((2, 3)).astype(np.float64)
    weight = weight / factors[classes[operator.outputs[0]]][:, None] * factors[classes[operator.inputs[0]]]
    columns: Floats = (weight / np.maximum(weight.max(1, keepdims=True), 1e-12)).max(0)
    return columns
