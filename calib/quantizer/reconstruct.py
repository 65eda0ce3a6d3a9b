"""Reconstruction: each convolution refitted, first to last, to what the float network's gives.

A layer's inputs carry the errors of all layers before it. With its weights refitted to those inputs, by least squares,
it makes up for what is systematic in them; then its weights are rounded with error feedback, and its bias takes what is
left of the mean. Targets are the float network's outputs on its own inputs, so errors do not add up unseen. (Layer by
layer fits: Nagel et al., Up or Down? Adaptive Rounding, 2020; Hubara et al., Accurate Post Training Quantization with
Small Calibration Sets, 2021. Here they are in closed form.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantizer.moments import Moments
from edgehr.calib.quantizer.network import Layer, Network, forget
from edgehr.calib.quantizer.operators import compute
from edgehr.calib.quantizer.placement import NOWHERE
from edgehr.calib.quantizer.rounding import choose_steps, round_with_feedback

# Fewer positions than this for each input of an output, and a fit learns the crops and not the layer.
LEAST_POSITIONS = 4

Advance = Callable[[int, int], None]


@torch.no_grad()
def reconstruct(
    graph: Graph,
    network: Network,
    crops: NDArray[np.float32],
    ridge: float,
    advance: Advance | None = None,
    only: Collection[str] | None = None,
) -> None:
    """Quantize the weights of a network whose tensors have their steps, in place.

    Args:
        graph: The float network.
        network: The same graph, with steps.
        crops: (N, 3, H, W); all of their tensors that are still needed are in memory at once.
        ridge: Share of the mean diagonal added to a layer's Hessian: holds weights of weak inputs where they are.
        advance: Called with the number of layers done, and of all.
        only: Names of the convolutions to fit, if not all; the others stay as they are.
    """
    reference = Network(graph, NOWHERE)
    source = torch.from_numpy(crops)
    wanted, values = {graph.input: source}, {graph.input: source}
    total, done = len(graph.convolutions), 0
    for place, operator in enumerate(graph.operators):
        if operator.kind == CONVOLUTION:
            target = reference.convolve(operator, wanted[operator.inputs[0]])
            if only is None or operator.name in only:
                _fit(network, operator, network.take(operator, values)[operator.inputs[0]], target, ridge)
            wanted[operator.outputs[0]] = target
            done += 1
            if advance:
                advance(done, total)
        else:
            wanted.update(zip(operator.outputs, compute(graph, operator, wanted), strict=True))
        for name, value in zip(operator.outputs, network.run_one(operator, values), strict=True):
            values[name] = network.give(operator, name, value)
        forget(graph, place, wanted)
        forget(graph, place, values)


def _fit(network: Network, operator: Operator, data: Tensor, target: Tensor, ridge: float) -> None:
    """Give a layer the weights and the bias that come nearest to a target on this data."""
    before = network.layers[operator.name]
    full = operator.name in network.placement.full_weights
    layer = fit(before, Moments.of(operator, before.weight, data, target), ridge, full=full)
    network.layers[operator.name] = _with_whole_bias(network, operator, layer)


def _with_whole_bias(network: Network, operator: Operator, layer: Layer) -> Layer:
    """The bias as an integer kernel adds it: a whole number of products of an input's step and a weight's."""
    if layer.step is None or not network.placement.kernels or operator.name not in network.placement.integer:
        return layer
    grid = layer.step.double() * network.steps[network.placement.groups[operator.inputs[0]]]
    return Layer(layer.weight, ((layer.bias.double() / grid).round() * grid).float(), layer.step)


def fit(layer: Layer, moments: Moments, ridge: float, *, full: bool) -> Layer:
    """The layer of least square error, on a grid unless its weights stay in float.

    Args:
        layer: Where to start.
        moments: Of its inputs and the outputs it should give.
        ridge: See `reconstruct`.
        full: Weights stay in float.
    """
    groups, columns = moments.inputs.shape
    weight = layer.weight.reshape(groups, -1, columns).double()
    strength = torch.diagonal(moments.hessian, dim1=-2, dim2=-1).mean(-1).clamp(min=1e-12)
    hessian = moments.hessian + torch.eye(columns, dtype=torch.float64) * (ridge * strength)[:, None, None]
    if moments.positions >= LEAST_POSITIONS * columns:
        residual = moments.cross - weight @ moments.hessian
        weight = weight + torch.linalg.solve(hessian, residual.transpose(1, 2)).transpose(1, 2)
    step = None
    if not full:
        steps = choose_steps(weight, hessian)
        weight = round_with_feedback(weight, hessian, steps)
        step = steps.flatten().float()
    bias = moments.outputs - (weight @ moments.inputs[:, :, None])[:, :, 0]
    return Layer(weight.reshape(layer.weight.shape).float(), bias.flatten().float(), step)
