"""Cross-layer equalization: the same network, rescaled so that its rounding does least harm.

One scale serves all channels of a tensor, so a channel of small values has few of its levels. ReLU, sums, resizing and
pooling commute with a positive factor for each channel, so such factors can move between a convolution that writes a
channel and those that read it (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
2019, for pairs of convolutions, by their weights). Here the factors of all channels of a graph are found together, by
gradient descent on the squared error of the output that is to be expected of them (`ExpectedNoise`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.channel_groups import FIXED, ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph, copy_model, is_depthwise, set_constants
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise
from edgehr.calib.quantizer.parallel import one_thread

STEPS, RATE, FINAL_RATE = 250, 0.1, 0.01  # of Adam, on logarithms


def rescale_channels(graph: Graph, channel_groups: ChannelGroups, factors: NDArray[np.float64]) -> Graph:
    """Divide the channels of each group by its factor, in the weights that write and read them.

    Args:
        graph: The network.
        channel_groups: The groups of its channels.
        factors: (channel_groups.count,) positive; that of the fixed group is taken as 1.
    """
    factors = factors.copy()
    factors[FIXED] = 1
    fresh: dict[str, NDArray[np.float32]] = {}
    for operator in graph.convolutions:
        source, result = factors[channel_groups[operator.inputs[0]]], factors[channel_groups[operator.outputs[0]]]
        weight = graph.weight(operator).astype(np.float64) / result.reshape(-1, 1, 1, 1)
        shape = (-1, 1, 1, 1) if is_depthwise(weight) else (1, -1, 1, 1)
        fresh[operator.inputs[1]] = (weight * source.reshape(shape)).astype(np.float32)
        if len(operator.inputs) > 2:
            fresh[operator.inputs[2]] = (graph.bias(operator) / result).astype(np.float32)
    for operator in graph.operators:
        if operator.kind == "Add" and len(graph.data(operator)) == 1:
            scale = factors[channel_groups[operator.outputs[0]]].reshape(1, -1, 1, 1)
            for name in operator.inputs:
                if name in graph.constants:
                    fresh[name] = (graph.constants[name] / scale).astype(np.float32)
    model = copy_model(graph)
    set_constants(model, fresh)
    return Graph(model)


def equalizing_factors(noise: ExpectedNoise) -> NDArray[np.float64]:
    """Find the factors (count,) of least expected noise."""
    with one_thread():
        logarithms = torch.zeros(noise.count, requires_grad=True)
        free = torch.ones(noise.count)
        free[FIXED] = 0
        optimizer = torch.optim.Adam([logarithms], lr=RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, FINAL_RATE / RATE, STEPS)
        for _ in range(STEPS):
            optimizer.zero_grad()
            noise(logarithms * free).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        factors: NDArray[np.float64] = torch.exp((logarithms * free).detach().double()).numpy()
        return factors
