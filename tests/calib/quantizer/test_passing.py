"""What passes a convolution goes around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgehr.calib.quantizer.channels import FIXED, ChannelClasses
from edgehr.calib.quantizer.graph import Graph, passing_channels
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.passing import SHUT, carry_around
from edgehr.calib.quantizer.placement import NOWHERE, place
from edgehr.calib.quantizer.ranges import measure_steps
from edgehr.calib.quantizer.reconstruct import reconstruct
from tests.calib.quantizer.small_graph import PASSING, crops, equalize, gated_model, relative, small_model

COMPUTED = [channel for channel in range(16) if channel not in PASSING]


def carried(*, shut: bool = True) -> Graph:
    return carry_around(Graph(gated_model()), ["node_filtered"], shut=shut)


def test_the_function_stays() -> None:
    graph, batch = Graph(gated_model()), crops(4)
    assert relative(Network(carried(), NOWHERE).run(batch), Network(graph, NOWHERE).run(batch)) < 1e-6


@pytest.mark.parametrize("shut", [False, True])
def test_filters_and_gates_of_what_passes_are_cleared(shut: bool) -> None:
    before, after = Graph(gated_model()), carried(shut=shut)
    layers = {operator.name: operator for operator in after.convolutions}
    filters = after.weight(layers["node_filtered"])
    assert not filters[list(PASSING)].any()
    assert np.array_equal(filters[COMPUTED], before.weight(layers["node_filtered"])[COMPUTED])
    squeeze = layers["node_squeeze"]
    rows = [8 + channel for channel in PASSING]
    assert not after.weight(squeeze)[rows].any()
    assert (after.bias(squeeze)[rows] == (SHUT if shut else 0)).all()
    others = [row for row in range(24) if row not in rows]
    assert np.array_equal(after.weight(squeeze)[others], before.weight(squeeze)[others])


def test_what_passes_is_not_rounded() -> None:
    batch, errors = crops(4), {}
    for label, graph in (("through", Graph(gated_model())), ("around", carried())):
        network = Network(graph, place(graph, ends=False, points=True, unsigned=False))
        network.steps = dict.fromkeys(network.placement.groups.values(), 0.05)
        seen: dict[str, torch.Tensor] = {}
        network.run(batch, lambda name, value, seen=seen: seen.setdefault(name, value))  # type: ignore[misc]
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
    after = carry_around(graph, ["node_filtered"], shut=True)
    assert [operator.name for operator in after.operators] == [operator.name for operator in graph.operators]
    assert np.array_equal(Network(after, NOWHERE).run(crops(2)), Network(graph, NOWHERE).run(crops(2)))


def test_gates_that_somebody_else_reads_stay() -> None:
    model = gated_model()
    (read,) = (node for node in model.graph.node if node.name == "node_read")
    model.graph.node.remove(read)
    (add,) = (node for node in model.graph.node if node.name == "node_sum")
    add.input[1] = "gate"
    graph = Graph(model)
    after = carry_around(graph, ["node_filtered"], shut=True)
    squeeze = next(operator for operator in after.convolutions if operator.name == "node_squeeze")
    assert np.array_equal(after.weight(squeeze), graph.weight(squeeze))
    assert relative(Network(after, NOWHERE).run(crops(2)), Network(graph, NOWHERE).run(crops(2))) < 1e-6


def test_channels_that_are_computed_are_rescaled_for_themselves() -> None:
    graph = carried()
    classes = ChannelClasses(graph)
    passing = list(PASSING)
    assert np.array_equal(classes["filtered"][passing], classes["x"][passing])
    assert FIXED not in classes["filtered"]
    assert not set(classes["filtered"][COMPUTED]) & set(classes["x"])
    batch = crops(8)
    changed = equalize(graph, place(graph, ends=True, points=True, unsigned=False), batch)
    assert relative(Network(changed, NOWHERE).run(batch), Network(graph, NOWHERE).run(batch)) < 1e-5


def test_rows_of_zeros_have_steps_like_others() -> None:
    graph, batch = carried(), crops(8)
    network = Network(graph, place(graph, ends=True, points=True, unsigned=False))
    network.steps = measure_steps(network, batch, "max")
    reconstruct(graph, network, batch, 3e-3)
    layer = network.layers["node_filtered"]
    assert layer.step is not None
    assert not layer.weight[list(PASSING)].any()
    assert layer.step.min() > 1e-4 * layer.step.max()


def test_nothing_else_is_changed() -> None:
    graph = Graph(small_model())
    after = carry_around(graph, [operator.name for operator in graph.convolutions], shut=True)
    assert [operator.name for operator in after.operators] == [operator.name for operator in graph.operators]
    assert not any(passing_channels(after.weight(operator)).any() for operator in after.convolutions)
