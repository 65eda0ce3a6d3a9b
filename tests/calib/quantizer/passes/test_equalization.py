"""Equalization changes no output, and evens out ranges."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from edgehr.calib.quantizer.graph.channel_groups import FIXED, ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph, identity_channels
from edgehr.calib.quantizer.passes.equalization import rescale_channels
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from tests.calib.quantizer.small_graph import crops, equalize, observe_min_max, relative, small_model


def test_outputs_stay() -> None:
    graph, batch = Graph(small_model()), crops(8)
    changed = equalize(graph, place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False), batch)
    assert not np.array_equal(changed.constants["constant0"], graph.constants["constant0"])
    assert relative(SimulatedNetwork(changed).run(batch), SimulatedNetwork(graph).run(batch)) < 1e-5


def test_any_factors_leave_outputs_as_they_are() -> None:
    graph, batch = Graph(small_model()), crops(4)
    classes = ChannelGroups(graph)
    factors = np.exp(np.random.default_rng(1).uniform(-2, 2, classes.count))
    changed = rescale_channels(graph, classes, factors)
    assert relative(SimulatedNetwork(changed).run(batch), SimulatedNetwork(graph).run(batch)) < 1e-5


def test_what_a_sigmoid_and_the_ends_see_is_fixed() -> None:
    classes = ChannelGroups(Graph(small_model()))
    for name in ("image", "squeeze", "gate", "head"):
        assert set(classes[name]) == {FIXED}
    assert FIXED not in classes["low"]
    assert np.array_equal(classes["x"], classes["sum"])
    assert np.array_equal(classes["both"][8:24], classes["weighted"])


def test_a_product_of_gates_is_a_gate() -> None:
    model = small_model()
    place = next(number for number, node in enumerate(model.graph.node) if node.name == "node_weighted")
    model.graph.node.insert(place, helper.make_node("Mul", ["gate", "gate"], ["squared"], "node_squared"))
    model.graph.node[place + 1].input[1] = "squared"
    classes = ChannelGroups(Graph(model))
    assert np.array_equal(classes["both"][8:24], classes["weighted"])
    assert FIXED not in classes["weighted"]
    assert set(classes["squared"]) == {FIXED}


def test_a_quantized_network_comes_nearer_to_the_float_one() -> None:
    graph, batch = Graph(small_model()), crops(24)
    placement = place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False)
    wanted, errors = SimulatedNetwork(graph).run(batch), []
    for version in (graph, equalize(graph, placement, batch)):
        network = SimulatedNetwork(version, placement)
        network.parameters = observe_min_max(network, batch)
        errors.append(relative(network.run(batch), wanted))
    assert errors[1] < 0.7 * errors[0]


def test_channels_that_pass_a_filter_keep_its_identity() -> None:
    model = small_model()
    for tensor in model.graph.initializer:
        if tuple(tensor.dims) == (32, 1, 3, 3):
            weight = numpy_helper.to_array(tensor).copy()
            weight[:10] = 0
            weight[:10, :, 1, 1] = 1
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    graph, batch = Graph(model), crops(8)
    changed = equalize(graph, place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False), batch)
    (depthwise,) = (operator for operator in changed.convolutions if operator.name == "node_depthwise")
    assert identity_channels(changed.weight(depthwise)).tolist() == [True] * 10 + [False] * 22
