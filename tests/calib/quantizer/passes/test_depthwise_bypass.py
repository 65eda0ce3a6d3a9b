"""What passes a convolution goes around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgehr.calib.quantizer.graph.channel_groups import FIXED, ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph, identity_channels
from edgehr.calib.quantizer.passes.depthwise_bypass import CLOSED, bypass_depthwise
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.reconstruction.layers import reconstruct
from edgehr.calib.quantizer.simulation import QuantizationParameters, SimulatedNetwork
from tests.calib.quantizer.small_graph import (
    PASSING,
    crops,
    equalize,
    gated_model,
    observe_min_max,
    relative,
    small_model,
)

COMPUTED = [channel for channel in range(16) if channel not in PASSING]


def carried(*, close_gates: bool = True) -> Graph:
    return bypass_depthwise(Graph(gated_model()), ["node_filtered"], close_gates=close_gates)


def test_the_function_stays() -> None:
    graph, batch = Graph(gated_model()), crops(4)
    assert relative(SimulatedNetwork(carried()).run(batch), SimulatedNetwork(graph).run(batch)) < 1e-6


@pytest.mark.parametrize("close_gates", [False, True])
def test_filters_and_gates_of_what_passes_are_cleared(close_gates: bool) -> None:
    before, after = Graph(gated_model()), carried(close_gates=close_gates)
    layers = {operator.name: operator for operator in after.convolutions}
    filters = after.weight(layers["node_filtered"])
    assert not filters[list(PASSING)].any()
    assert np.array_equal(filters[COMPUTED], before.weight(layers["node_filtered"])[COMPUTED])
    squeeze = layers["node_squeeze"]
    rows = [8 + channel for channel in PASSING]
    assert not after.weight(squeeze)[rows].any()
    assert (after.bias(squeeze)[rows] == (CLOSED if close_gates else 0)).all()
    others = [row for row in range(24) if row not in rows]
    assert np.array_equal(after.weight(squeeze)[others], before.weight(squeeze)[others])


def test_what_passes_is_not_rounded() -> None:
    batch, errors = crops(4), {}
    for label, graph in (("through", Graph(gated_model())), ("around", carried())):
        network = SimulatedNetwork(
            graph, place_for_qdq(graph, float_ends=False, pooled_weight_only=True, unsigned=False)
        )
        network.parameters = dict.fromkeys(network.placement.quantizers.values(), QuantizationParameters(0.05))
        seen: dict[str, torch.Tensor] = {}
        network.forward(torch.from_numpy(batch), seen.setdefault)
        errors[label] = float((seen["filtered"] - seen["x"])[:, list(PASSING)].abs().max())
    assert errors["around"] == 0
    assert errors["through"] > 0.01


def test_what_a_strided_filter_lets_pass_stays() -> None:
    model = gated_model()
    (node,) = (node for node in model.graph.node if node.name == "node_filtered")
    strides = next(entry for entry in node.attribute if entry.name == "strides")
    strides.ints[:] = [2, 2]
    del model.graph.output[0].type.tensor_type.shape.dim[2:]
    graph = Graph(model)
    after = bypass_depthwise(graph, ["node_filtered"], close_gates=True)
    assert [operator.name for operator in after.operators] == [operator.name for operator in graph.operators]
    assert np.array_equal(SimulatedNetwork(after).run(crops(2)), SimulatedNetwork(graph).run(crops(2)))


def test_gates_that_somebody_else_reads_stay() -> None:
    model = gated_model()
    (read,) = (node for node in model.graph.node if node.name == "node_read")
    model.graph.node.remove(read)
    (add,) = (node for node in model.graph.node if node.name == "node_sum")
    add.input[1] = "gate"
    graph = Graph(model)
    after = bypass_depthwise(graph, ["node_filtered"], close_gates=True)
    squeeze = next(operator for operator in after.convolutions if operator.name == "node_squeeze")
    assert np.array_equal(after.weight(squeeze), graph.weight(squeeze))
    assert relative(SimulatedNetwork(after).run(crops(2)), SimulatedNetwork(graph).run(crops(2))) < 1e-6


def test_channels_that_are_computed_are_rescaled_for_themselves() -> None:
    graph = carried()
    classes = ChannelGroups(graph)
    passing = list(PASSING)
    assert np.array_equal(classes["filtered"][passing], classes["x"][passing])
    assert FIXED not in classes["filtered"]
    assert not set(classes["filtered"][COMPUTED]) & set(classes["x"])
    batch = crops(8)
    changed = equalize(graph, place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False), batch)
    assert relative(SimulatedNetwork(changed).run(batch), SimulatedNetwork(graph).run(batch)) < 1e-5


def test_rows_of_zeros_have_steps_like_others() -> None:
    graph, batch = carried(), crops(8)
    network = SimulatedNetwork(graph, place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False))
    network.parameters = observe_min_max(network, batch)
    reconstruct(graph, network, batch, 3e-3)
    layer = network.layers["node_filtered"]
    assert layer.scale is not None
    assert not layer.weight[list(PASSING)].any()
    assert layer.scale.min() > 1e-4 * layer.scale.max()


def test_nothing_else_is_changed() -> None:
    graph = Graph(small_model())
    after = bypass_depthwise(graph, [operator.name for operator in graph.convolutions], close_gates=True)
    assert [operator.name for operator in after.operators] == [operator.name for operator in graph.operators]
    assert not any(identity_channels(after.weight(operator)).any() for operator in after.convolutions)
