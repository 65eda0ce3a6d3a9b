"""Channels centered around zero, by constants that biases absorb.

A quantizer's levels are spread evenly around zero, or have one zero point for all channels, so a channel that lies to
one side leaves some of them unused. Moved by a constant, which the biases of its consumers absorb, it needs a shorter
range (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, absorb what is beyond
a ReLU). Only 1x1 convolutions that do not pad can absorb it: others' zeros would move, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph, Operator, copy_model, remove_constants
from edgehr.calib.quantizer.graph.operators import padding_of
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise, smooth_maximum, to_logarithms
from edgehr.calib.quantizer.noise.statistics import channel_extremes
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.simulation import LEVELS, MAX_WEIGHT, SimulatedNetwork

# Share of all expected noise that an addition must spare to be worth its time.
MIN_SPARED = 2e-3

Midpoints = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ChannelRanges:
    """Ranges of the channels of a tensor: (C,) each.

    Attributes:
        low: Least value in a batch, mean over batches.
        high: Largest value in a batch, mean over batches.
    """

    low: Tensor
    high: Tensor

    @property
    def midpoint(self) -> NDArray[np.float64]:
        """Return the constant to be subtracted, (C,)."""
        midpoint: NDArray[np.float64] = ((self.low + self.high) / 2).double().numpy()
        return midpoint


def measure_channel_ranges(graph: Graph, images: NDArray[np.float32]) -> dict[str, ChannelRanges]:
    """Measure the ranges of the inputs of 1x1 convolutions, on images (N, 3, H, W)."""
    wanted = {op.inputs[0] for op in graph.convolutions if can_absorb(graph, op)}

    def extremes(name: str, value: Tensor) -> Tensor | None:
        return torch.stack(channel_extremes(value)) if name in wanted else None

    measured = SimulatedNetwork(graph).measure(images, extremes)
    return {name: ChannelRanges(*torch.stack(measured[name]).mean(0)) for name in sorted(wanted)}


def center_by_biases(graph: Graph, ranges: Mapping[str, ChannelRanges]) -> tuple[Graph, set[str]]:
    """Center, by its bias, what a convolution makes for 1x1 convolutions alone; the function stays the same.

    Args:
        graph: The network.
        ranges: The ranges of the inputs of 1x1 convolutions.

    Returns:
        The network, and the names of the tensors that are centered in it.
    """
    biases = {op.name: graph.bias(op).astype(np.float64) for op in graph.convolutions}
    centered = set()
    for operator in graph.convolutions:
        name = operator.outputs[0]
        consumers = graph.consumers(name)
        if consumers and name not in graph.outputs and all(can_absorb(graph, consumer) for consumer in consumers):
            centered.add(name)
            biases[operator.name] -= ranges[name].midpoint
            for consumer in consumers:
                biases[consumer.name] += _response(graph, consumer, ranges[name].midpoint)
    return Graph(_with_biases(graph, biases)), centered


def center_by_additions(graph: Graph, convolutions: Collection[str], midpoints: Midpoints) -> Graph:
    """Center, by an addition of its own, what some 1x1 convolutions read; the function stays the same.

    Args:
        graph: The network.
        convolutions: Names of those that are to read it so; others read the tensor as it is.
        midpoints: (C,) by tensor.
    """
    absorbing = {
        name: [op for op in graph.consumers(name) if op.name in convolutions and can_absorb(graph, op)]
        for name in midpoints
    }
    biases = {
        op.name: graph.bias(op).astype(np.float64) + _response(graph, op, midpoints[name])
        for name, operators in absorbing.items()
        for op in operators
    }
    model = _with_biases(graph, biases)
    nodes = []
    for node in model.graph.node:
        if node.op_type == CONVOLUTION and str(node.name or node.output[0]) in biases:
            node.input[0] = f"{node.input[0]}.centered"
        nodes.append(node)
        for name in node.output:
            if absorbing.get(name):
                constant = (-midpoints[name]).astype(np.float32).reshape(1, -1, 1, 1)
                model.graph.initializer.append(numpy_helper.from_array(constant, f"{name}.middle"))
                nodes.append(helper.make_node("Add", [name, f"{name}.middle"], [f"{name}.centered"], f"{name}.center"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return Graph(model)


@torch.no_grad()
def choose_additions(
    graph: Graph,
    placement: Placement,
    noise: ExpectedNoise,
    factors: NDArray[np.float64],
    ranges: Mapping[str, ChannelRanges],
) -> Midpoints:
    """Choose the tensors that an addition is to center: where it spares a noticeable part of the output's error.

    What an INT8 kernel has made stays: it was rounded as it was made, and would be again.

    Args:
        graph: The network.
        placement: The quantizers as they are.
        noise: What they add to the error.
        factors: (count,) of the channels.
        ranges: The ranges of tensors that are not centered yet.

    Returns:
        (C,) what to subtract, by tensor.
    """
    logarithms, channel_groups = to_logarithms(factors), ChannelGroups(graph)
    errors: dict[int, float] = defaultdict(float)
    for name, error in noise.of_tensors(logarithms).items():
        errors[placement.quantizers[name]] += float(error)
    least, scales = MIN_SPARED * float(noise(logarithms)), noise.scales(logarithms)

    def is_worth_it(name: str) -> bool:
        quantizer = placement.quantizers.get(name, -1)
        if quantizer not in errors:
            return False
        factor, scale = torch.from_numpy(factors[channel_groups[name]]).float(), float(scales[quantizer])
        low, high = ranges[name].low, ranges[name].high
        after = float(smooth_maximum((high - low) / 2 / factor)) / MAX_WEIGHT
        before = scale
        if placement.returns_int8:
            before = float((high / factor).max() - (low / factor).min().clamp(max=0)) / LEVELS
        return errors[quantizer] * (before**2 - after**2) / scale**2 >= least

    candidates = {op.inputs[0] for op in graph.convolutions if op.name in placement.integer and can_absorb(graph, op)}
    if placement.returns_int8:
        candidates -= placement.int8_outputs(graph)
    return {name: ranges[name].midpoint for name in sorted(candidates) if name in ranges and is_worth_it(name)}


def can_absorb(graph: Graph, operator: Operator) -> bool:
    """Tell whether an operator is a convolution whose bias can absorb constants in its input, channel by channel."""
    if operator.kind != CONVOLUTION:
        return False
    pointwise = (graph.channels(operator.inputs[0]), 1, 1)
    return graph.weight(operator).shape[1:] == pointwise and not any(padding_of(operator))


def _response(graph: Graph, convolution: Operator, constant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a 1x1 convolution makes of a constant (C,), (out,)."""
    response: NDArray[np.float64] = graph.weight(convolution)[:, :, 0, 0].astype(np.float64) @ constant
    return response


def _with_biases(graph: Graph, biases: Mapping[str, NDArray[np.float64]]) -> Any:
    """Return a copy of the model in which convolutions have other biases, by name; some have none yet."""
    model = copy_model(graph)
    fresh = {f"{name}.bias": bias.astype(np.float32) for name, bias in biases.items()}
    remove_constants(model, fresh)
    model.graph.initializer.extend(numpy_helper.from_array(bias, name) for name, bias in fresh.items())
    for node in model.graph.node:
        operator = str(node.name or node.output[0])
        if operator in biases:
            del node.input[2:]
            node.input.append(f"{operator}.bias")
    return model
