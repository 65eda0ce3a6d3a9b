"""The network in PyTorch computes what ONNX Runtime does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.simulation import SimulatedNetwork, round_to_integers
from edgehr.errors import EdgehrError
from tests.calib.quantizer.small_graph import crops, relative, run_onnx, small_model


def test_a_small_network_is_computed_as_by_onnx_runtime() -> None:
    model, batch = small_model(), crops(10)
    output = SimulatedNetwork(Graph(model)).run(batch)
    assert output.shape == (10, 5, 16, 12)
    assert relative(output, run_onnx(model, batch)) < 1e-5


def test_every_tensor_is_shown() -> None:
    seen = SimulatedNetwork(Graph(small_model())).measure(crops(10), lambda name, value: tuple(value.shape))
    assert seen["image"] == [(8, 3, 32, 24), (2, 3, 32, 24)]
    assert seen["both"] == [(8, 32, 16, 12), (2, 32, 16, 12)]
    assert seen["gate"] == [(8, 16, 1, 1), (2, 16, 1, 1)]


def test_an_unknown_operator_is_named() -> None:
    model = small_model()
    model.graph.node[1].op_type = "HardSwish"
    with pytest.raises(EdgehrError, match="cannot be quantized, it has operators HardSwish"):
        SimulatedNetwork(Graph(model))


def test_padding_that_differs_between_sides() -> None:
    """As TensorFlow's "SAME" has it for strided convolutions."""
    model = small_model()
    (node,) = (node for node in model.graph.node if node.name == "node_down")
    for entry in [entry for entry in node.attribute if entry.name == "pads"]:
        node.attribute.remove(entry)
    node.attribute.append(helper.make_attribute("pads", [0, 0, 1, 1]))
    images = crops(2)
    expected = np.concatenate([run_onnx(model, image[None]) for image in images])
    found = SimulatedNetwork(Graph(model)).run(images)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [({"group": 4}, "in 4 groups"), ({"dilations": [2, 2]}, "dilated")],
)
def test_convolutions_that_cannot_be_fitted_are_refused(attributes: dict[str, Any], message: str) -> None:
    model = small_model()
    (node,) = (node for node in model.graph.node if node.name == "node_mix")
    for name, value in attributes.items():
        for entry in [entry for entry in node.attribute if entry.name == name]:
            node.attribute.remove(entry)
        node.attribute.append(helper.make_attribute(name, value))
    graph = Graph.__new__(Graph)  # shapes cannot be inferred of a graph that is wrong, and are not needed
    graph.__init__(model)  # type: ignore[misc]
    with pytest.raises(EdgehrError, match=message):
        SimulatedNetwork(graph).run(np.zeros((1, 3, 32, 24), np.float32))


def test_two_inputs_are_refused() -> None:
    model = small_model()
    model.graph.input.append(model.graph.input[0])
    model.graph.input[1].name = "other"
    with pytest.raises(EdgehrError, match="networks of one input"):
        Graph(model)


@pytest.mark.parametrize(("zero_point", "low", "high"), [(0, 0, 255), (93, 0, 255), (-128, -128, 127), (0, -127, 127)])
@pytest.mark.parametrize("scale", [1.7e-5, 0.0234, 3.3])
def test_integers_are_those_of_pytorch(scale: float, zero_point: int, low: int, high: int) -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * scale * 100
    expected = torch.fake_quantize_per_tensor_affine(values, scale, zero_point, low, high)
    assert torch.equal(round_to_integers(values, scale, zero_point, low, high), expected)
