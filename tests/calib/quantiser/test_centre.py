"""Channels around zero."""

from __future__ import annotations

import numpy as np
import torch

from edgehr.calib.quantiser.centre import centred
from edgehr.calib.quantiser.graph import Graph
from edgehr.calib.quantiser.network import Network
from edgehr.calib.quantiser.placement import NOWHERE
from tests.calib.quantiser.small_graph import crops, relative, small_model


def ends(graph: Graph, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest value of each channel over all crops."""
    values: list[torch.Tensor] = []
    Network(graph, NOWHERE).run(crops(8), lambda each, value: values.append(value) if each == name else None)
    tensor = torch.cat(values)
    return tensor.amin((0, 2, 3)), tensor.amax((0, 2, 3))


def test_what_1x1_convolutions_take_of_convolutions_is_centred_and_the_function_stays() -> None:
    graph, batch = Graph(small_model()), crops(8)
    after = centred(graph, batch)
    assert relative(Network(after, NOWHERE).run(batch), Network(graph, NOWHERE).run(batch)) < 1e-5
    low, high = ends(graph, "depthwise")
    assert ((low + high).abs() > 0.1 * (high - low)).any()
    low, high = ends(after, "depthwise")
    assert torch.allclose(low, -high, atol=1e-4, rtol=1e-3)


def test_what_is_padded_or_read_by_others_stays() -> None:
    graph = Graph(small_model())
    after = centred(graph, crops(8))
    for old, new in zip(graph.convolutions, after.convolutions, strict=True):
        same = np.array_equal(after.bias(new), graph.bias(old))
        assert same == (old.name not in ("node_depthwise", "node_mix"))


def test_a_convolution_without_a_bias_gets_one() -> None:
    model = small_model()
    (node,) = (node for node in model.graph.node if node.name == "node_depthwise")
    del node.input[2]
    graph, batch = Graph(model), crops(8)
    after = centred(graph, batch)
    assert relative(Network(after, NOWHERE).run(batch), Network(graph, NOWHERE).run(batch)) < 1e-5
    low, high = ends(after, "depthwise")
    assert torch.allclose(low, -high, atol=1e-4, rtol=1e-3)
