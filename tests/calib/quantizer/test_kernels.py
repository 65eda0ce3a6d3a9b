"""Quantizers for INT8 kernels: what convolutions take and return."""

from __future__ import annotations

import torch

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.observers import observe_asymmetric, observe_symmetric
from edgehr.calib.quantizer.placement import fused_relu, place_for_kernels
from edgehr.calib.quantizer.reconstruction.layers import reconstruct
from edgehr.calib.quantizer.simulation import QuantizationParameters, SimulatedNetwork
from tests.calib.quantizer.small_graph import PASS, crops, gated_model, relative, small_model


def placed() -> SimulatedNetwork:
    graph = Graph(small_model())
    return SimulatedNetwork(graph, place_for_kernels(graph, float_ends=True, pooled_weight_only=True))


def test_convolutions_in_int8_return_int8() -> None:
    network = placed()
    graph, placement = network.graph, network.placement
    for operator in graph.convolutions:
        result = (fused_relu(graph, operator) or operator).outputs[0]
        if operator.name in placement.float_data:
            continue
        assert operator.inputs[0] in placement.quantizers
        assert result in placement.quantizers
        assert operator.name in placement.integer
    assert "sum" not in placement.quantizers  # stays in float


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
    network.parameters = dict.fromkeys(network.placement.quantizers.values(), QuantizationParameters(0.5))
    graph = network.graph
    add = next(operator for operator in graph.operators if operator.kind == "Add")
    inner = next(operator for operator in graph.convolutions if operator.name not in network.placement.float_data)
    value = torch.full((1, 1, 1, 1), 0.6)
    assert network.read(add, {"x": value})["x"] == value
    taken = network.read(inner, {inner.inputs[0]: value})[inner.inputs[0]]
    assert float(taken) == 0.5
    assert float(network.written(inner, "low", value)) == 0.5
    assert network.written(add, "x", value) == value


def test_zero_points_cost_less_than_symmetric_scales() -> None:
    batch = crops(8)
    errors = []
    for own in (False, True):
        network = placed()
        exact = network.run(batch)
        network.parameters = (observe_asymmetric if own else observe_symmetric)(network, batch)
        errors.append(relative(network.run(batch), exact))
    assert any(found.zero_point for key, found in network.parameters.items() if key not in network.placement.unsigned)
    assert errors[1] < errors[0]


def test_what_a_sigmoid_reads_has_no_levels_where_the_sigmoid_is_flat() -> None:
    graph = Graph(gated_model())
    network = SimulatedNetwork(graph, place_for_kernels(graph, float_ends=False, pooled_weight_only=False))
    found = observe_asymmetric(network, crops(8))[network.placement.quantizers["squeeze"]]
    assert found.scale * (127 - found.zero_point) < 0.7 * PASS


def test_biases_are_whole_multiples_of_a_sum_s_scale() -> None:
    network, batch = placed(), crops(8)
    network.parameters = observe_asymmetric(network, batch)
    reconstruct(network.graph, network, batch, 3e-3)
    for operator in network.graph.convolutions:
        layer = network.layers[operator.name]
        if operator.name in network.placement.integer and layer.scale is not None:
            quantizer = network.placement.quantizers[operator.inputs[0]]
            sums = layer.bias.double() / (layer.scale.double() * network.parameters[quantizer].scale)
            assert (sums - sums.round()).abs().max() < 1e-3
