"""Equalization: the same network, rescaled so that its rounding does least harm.

One step size serves all channels of a tensor, so a channel of small values has few of its steps. ReLU, sums, resizing
and pooling commute with a positive factor for each channel, so such factors can move between a convolution that writes
a channel and those that read it (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
2019, for pairs of convolutions, by their weights). Here the factors of all channels of a graph are found together, by
gradient descent on the squared error of the heatmaps that is to be expected of them (`expected.ExpectedNoise`).
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from edgehr.calib.quantizer.channels import FIXED, ChannelClasses
from edgehr.calib.quantizer.expected import ExpectedNoise
from edgehr.calib.quantizer.graph import Graph, added_constants, is_depthwise, set_constants

STEPS, RATE, FINAL_RATE = 250, 0.1, 0.01  # of Adam, on logarithms


def rescaled(graph: Graph, classes: ChannelClasses, factors: NDArray[np.float64]) -> Graph:
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
    for name, operator in added_constants(graph).items():
        scale = factors[classes[operator.outputs[0]]].reshape(1, -1, 1, 1)
        fresh[name] = (graph.constants[name] / scale).astype(np.float32)
    set_constants(model, fresh)
    return Graph(model)


def solve(noise: ExpectedNoise) -> NDArray[np.float64]:
    """The factors (count,) of least expected error."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for operations as small as these, threads wait more than they work
    try:
        return _descend(noise)
    finally:
        torch.set_num_threads(threads)


def _descend(noise: ExpectedNoise) -> NDArray[np.float64]:
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
