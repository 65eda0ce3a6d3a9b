"""Reconstruction: each convolution refitted, first to last, to what the float network's gives.

A layer's inputs carry the errors of all layers before it. With its weights refitted to those inputs, by least squares,
it makes up for what is systematic in them; then its weights are rounded with error feedback, and its bias is corrected
by what is left of the mean. Targets are the float network's outputs on its own inputs, so errors do not add up unseen.
(Layer by layer fits: Nagel et al., Up or Down? Adaptive Rounding, 2020; Hubara et al., Accurate Post Training
Quantization with Small Calibration Sets, 2021. Here they are in closed form.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantizer.graph.operators import convolve
from edgehr.calib.quantizer.parallel import side_by_side
from edgehr.calib.quantizer.reconstruction.rounding import choose_scales, round_with_feedback
from edgehr.calib.quantizer.reconstruction.second_order import SecondOrderStatistics, measure_second_order
from edgehr.calib.quantizer.simulation import BATCH, Layer, SimulatedNetwork, drop_unused

# Fewer positions than this for each input of an output, and a fit learns the images and not the layer.
MIN_POSITIONS = 4

Advance = Callable[[int, int], None]


@torch.no_grad()
def reconstruct(
    graph: Graph,
    network: SimulatedNetwork,
    images: NDArray[np.float32],
    ridge: float,
    advance: Advance | None = None,
    only: Collection[str] | None = None,
) -> None:
    """Quantize the weights of a network whose quantizers have their parameters, in place.

    A filter that several convolutions share is fitted where it is met first, on the finest level of a pyramid; in
    float it stays. Each of them has a bias of its own.

    Args:
        graph: The float network.
        network: The same graph, with parameters.
        images: (N, 3, H, W); all of their tensors that are still needed are in memory at once.
        ridge: Share of the mean diagonal added to a layer's Hessian: holds weights of weak inputs where they are.
        advance: Called with the number of layers done, and of all.
        only: Names of the convolutions to fit, if not all; the others stay as they are.
    """
    reference = SimulatedNetwork(graph)
    # Tensors of a few images stay in the processor's cache from one operator to the next; those of all would not.
    source = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    wanted = [{graph.input: source[start : start + BATCH]} for start in range(0, len(source), BATCH)]
    values = [dict(few) for few in wanted]
    fitted: dict[str, Layer] = {}  # by filter, which several convolutions may share
    total, done = len(graph.convolutions), 0
    for index, operator in enumerate(graph.operators):
        _run(reference, operator, wanted)
        if operator.kind == CONVOLUTION:
            if only is None or operator.name in only:
                targets = [few[operator.outputs[0]] for few in wanted]
                network.layers[operator.name] = _fit_to(operator, network, values, targets, ridge, fitted)
            done += 1
            if advance:
                advance(done, total)
        _run(network, operator, values)
        for few in (*wanted, *values):
            drop_unused(graph, index, few)


def _run(network: SimulatedNetwork, operator: Operator, tensors: Sequence[dict[str, Tensor]]) -> None:
    """Run an operator on the tensors of a few images each, and add its results to them, as its consumers get them."""

    def run(few: dict[str, Tensor]) -> None:
        for name, value in zip(operator.outputs, network.run_operator(operator, few), strict=True):
            few[name] = network.written(operator, name, value)

    side_by_side(run, tensors)


def _fit_to(
    operator: Operator,
    network: SimulatedNetwork,
    tensors: Sequence[dict[str, Tensor]],
    targets: Sequence[Tensor],
    ridge: float,
    fitted: dict[str, Layer],
) -> Layer:
    """Fit a convolution to its inputs, of a few images each, and targets; keep the layer in `fitted`."""
    inputs = side_by_side(lambda few: network.read(operator, few)[operator.inputs[0]], tensors)
    placement, before, filter_name = network.placement, network.layers[operator.name], operator.inputs[1]
    in_float = operator.name in placement.float_weights
    same = fitted.get(filter_name, before if in_float and operator.name in network.graph.shared else None)
    if same is None:
        statistics = measure_second_order(operator, before.weight, inputs, targets)
        layer = fitted[filter_name] = fit(before, statistics, ridge, in_float=in_float)
    else:
        rest = [
            (target - convolve(operator, data, same.weight, None)).mean((2, 3))
            for data, target in zip(inputs, targets, strict=True)
        ]
        layer = replace(same, bias=torch.cat(rest).mean(0))
    if placement.returns_int8 and layer.scale is not None and operator.name in placement.integer:
        # An integer kernel adds a whole number of products of an input's scale and a weight's.
        unit = layer.scale.double() * network.parameters[placement.quantizers[operator.inputs[0]]].scale
        layer.bias = ((layer.bias.double() / unit).round() * unit).float()
    return layer


def fit(layer: Layer, statistics: SecondOrderStatistics, ridge: float, *, in_float: bool) -> Layer:
    """Find the layer of least square error, with integer weights unless they stay in float.

    Args:
        layer: Where to start.
        statistics: Of its inputs and the outputs it should give.
        ridge: See `reconstruct`.
        in_float: Weights stay in float.
    """
    groups, columns = statistics.input_mean.shape
    weight = layer.weight.reshape(groups, -1, columns).double()
    strength = torch.diagonal(statistics.hessian, dim1=-2, dim2=-1).mean(-1).clamp(min=1e-12)
    hessian = statistics.hessian + torch.eye(columns, dtype=torch.float64) * (ridge * strength)[:, None, None]
    if statistics.positions >= MIN_POSITIONS * columns:
        residual = statistics.cross - weight @ statistics.hessian
        weight = weight + torch.linalg.solve(hessian, residual.transpose(1, 2)).transpose(1, 2)
    scale = None
    if not in_float:
        scales = choose_scales(weight, hessian)
        weight = round_with_feedback(weight, hessian, scales)
        scale = scales.flatten().float()
    bias = statistics.output_mean - (weight @ statistics.input_mean[:, :, None])[:, :, 0]
    return Layer(weight.reshape(layer.weight.shape).float(), bias.flatten().float(), scale)
