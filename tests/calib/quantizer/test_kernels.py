"""Quantizers for INT8 kernels: what convolutions take and return."""

from __future__ import annotations

import torch

from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.quantizer.grids import measure_grids
from edgehr.calib.quantizer.kernels import fused_relu, place_for_kernels
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.ranges import measure_steps
from edgehr.calib.quantizer.reconstruct import reconstruct
from tests.calib.quantizer.small_graph import PASS, crops, gated_model, relative, small_model


def placed() -> Network:
    graph = Graph(small_model())
    return Network(graph, place_for_kernels(graph, ends=True, points=True))


def test_convolutions_in_int8_return_int8() -> None:
    network = placed()
    graph, placement = network.graph, network.placement
    for operator in graph.convolutions:
        result = (fused_relu(graph, operator) or operator).outputs[0]
        if operator.name in placement.in_float:
            continue
        assert operator.inputs[0] in placement.groups
        assert result in placement.groups
        assert operator.name in placement.integer
    assert "sum" not in placement.groups  # stays in float


def test_a_relu_is_part_of_its_convolution_where_nobody_else_reads_what_it_takes() -> None:
    graph = Graph(small_model())
    down = next(operator for operator in graph.convolutions if operator.outputs[0] == "down")
    mix = next(operator for operator in graph.convolutions if operator.outputs[0] == "mix")
    relu = fused_relu(graph, down)
    assert relu is not None
    assert relu.outputs[0] == "low"
    assert fused_relu(graph, mix) is None


def test_what_was_made_in_float_is_read_unrounded_in_float() -> None:
    network = placed()
    network.steps = dict.fromkeys(network.placement.groups.values(), 0.5)
    graph = network.graph
    add = next(operator for operator in graph.operators if operator.kind == "Add")
    inner = next(operator for operator in graph.convolutions if operator.name not in network.placement.in_float)
    value = torch.full((1, 1, 1, 1), 0.6)
    assert network.take(add, {"x": value})["x"] == value
    taken = network.take(inner, {inner.inputs[0]: value})[inner.inputs[0]]
    assert float(taken) == 0.5
    assert float(network.give(inner, "low", value)) == 0.5
    assert network.give(add, "x", value) == value


def test_a_zero_of_its_own_costs_less_than_symmetric_steps() -> None:
    batch = crops(8)
    errors = []
    for own in (False, True):
        network = placed()
        exact = network.run(batch)
        if own:
            network.steps, network.zeros = measure_grids(network, batch)
        else:
            network.steps = measure_steps(network, batch, "mse")
        errors.append(relative(network.run(batch), exact))
    assert any(network.zeros[group] for group in network.zeros if group not in network.placement.unsigned)
    assert errors[1] < errors[0]


def test_what_a_sigmoid_reads_has_no_steps_where_the_sigmoid_is_flat() -> None:
    graph = Graph(gated_model())
    network = Network(graph, place_for_kernels(graph, ends=False, points=False))
    steps, zeros = measure_grids(network, crops(8))
    group = network.placement.groups["squeeze"]
    assert steps[group] * (127 - zeros[group]) < 0.7 * PASS


def test_biases_are_whole_numbers_of_a_sum_s_steps() -> None:
    network, batch = placed(), crops(8)
    network.steps, network.zeros = measure_grids(network, batch)
    reconstruct(network.graph, network, batch, 3e-3)
    for operator in network.graph.convolutions:
        layer = network.layers[operator.name]
        if operator.name in network.placement.integer and layer.step is not None:
            step = layer.step.double() * network.steps[network.placement.groups[operator.inputs[0]]]
            sums = layer.bias.double() / step
            assert (sums - sums.round()).abs().max() < 1e-3
