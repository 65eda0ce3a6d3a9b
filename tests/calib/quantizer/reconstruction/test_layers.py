"""Rounding with error feedback, and layers fitted one after the other."""

from __future__ import annotations

import torch

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.reconstruction.layers import fit, reconstruct
from edgehr.calib.quantizer.reconstruction.rounding import choose_scales, round_to, round_with_feedback
from edgehr.calib.quantizer.reconstruction.second_order import measure_second_order
from edgehr.calib.quantizer.simulation import Layer, SimulatedNetwork
from tests.calib.quantizer.small_graph import crops, equalize, observe_min_max, relative, small_model


def correlated(columns: int, count: int = 2000) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    mixing = torch.randn(columns, columns, generator=draw, dtype=torch.float64)
    return mixing @ torch.randn(columns, count, generator=draw, dtype=torch.float64)


def test_error_feedback_beats_rounding_to_nearest() -> None:
    inputs = correlated(48)
    weight = torch.randn(24, 48, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hessian = inputs @ inputs.T / inputs.shape[1]
    steps = choose_scales(weight, hessian) * 8  # coarse, so that errors stand out
    nearest, fed = round_to(weight, steps), round_with_feedback(weight, hessian, steps)
    errors = [float((((rounded - weight) @ inputs) ** 2).mean()) for rounded in (nearest, fed)]
    assert errors[1] < 0.7 * errors[0]
    assert torch.allclose(fed / steps[:, None], (fed / steps[:, None]).round(), atol=1e-6)
    assert (fed / steps[:, None]).abs().max() < 127.5


def test_layers_of_groups_are_rounded_each_by_its_own() -> None:
    inputs = torch.stack([correlated(9), correlated(9).flip(0)])
    weight = torch.randn(2, 1, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hessian = inputs @ inputs.transpose(1, 2)
    steps = torch.full((2, 1), 0.3, dtype=torch.float64)
    together = round_with_feedback(weight, hessian, steps)
    for group in range(2):
        error = ((together[group] - weight[group]) @ inputs[group]).square().mean()
        nearest = ((round_to(weight, steps)[group] - weight[group]) @ inputs[group]).square().mean()
        assert error <= nearest


def test_moments_are_those_of_the_convolution() -> None:
    graph, batch = Graph(small_model()), crops(20)
    network = SimulatedNetwork(graph)
    values = network.measure(batch, lambda name, value: value)
    for operator in graph.convolutions:
        data, made = (torch.cat(values[name]) for name in (operator.inputs[0], operator.outputs[0]))
        layer = network.layers[operator.name]
        moments = measure_second_order(operator, layer.weight, [data], [made])
        weight = layer.weight.reshape(*moments.cross.shape).double()
        predicted = weight @ moments.hessian
        assert (predicted - moments.cross).abs().max() < 1e-4 * moments.cross.abs().max(), operator.name


def test_a_fit_finds_the_weights_that_gave_the_target() -> None:
    graph = Graph(small_model())
    (operator,) = (operator for operator in graph.convolutions if operator.name == "node_mix")
    layer = SimulatedNetwork(graph).layers["node_mix"]
    data = torch.randn(40, 32, 8, 6, generator=torch.Generator().manual_seed(0))
    target = torch.nn.functional.conv2d(data, layer.weight, layer.bias)
    start = Layer(torch.zeros_like(layer.weight), torch.zeros_like(layer.bias))
    found = fit(
        start, measure_second_order(operator, layer.weight, data.split(8), target.split(8)), 1e-9, in_float=True
    )
    assert (found.weight - layer.weight).abs().max() < 1e-3 * layer.weight.abs().max()
    assert (found.bias - layer.bias).abs().max() < 1e-3 * layer.bias.abs().max()
    assert found.scale is None
    few = measure_second_order(operator, layer.weight, [data[:1]], [target[:1]])  # fewer positions than it takes to fit
    assert torch.equal(fit(layer, few, 1e-9, in_float=True).weight, layer.weight)


def test_a_reconstructed_network_is_nearer_than_one_rounded_to_nearest() -> None:
    graph, batch = Graph(small_model()), crops(60)
    held_out = crops(20, seed=1)
    wanted = SimulatedNetwork(graph).run(held_out)
    placement = place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False)
    parameters = observe_min_max(SimulatedNetwork(graph, placement), batch)
    plain = SimulatedNetwork(graph, placement, parameters=parameters)
    for layer in plain.layers.values():
        layer.scale = layer.weight.abs().amax((1, 2, 3)) / 127
        layer.weight = torch.tensor(layer.integers) * layer.scale.reshape(-1, 1, 1, 1)
    equal = equalize(graph, placement, batch)
    fitted = SimulatedNetwork(equal, placement)
    fitted.parameters = observe_min_max(fitted, batch)
    done: list[tuple[int, int]] = []
    reconstruct(equal, fitted, batch, 3e-3, lambda *place: done.append(place))
    assert done[-1] == (7, 7)
    assert fitted.layers["node_stem"].scale is None
    assert fitted.layers["node_squeeze"].scale is not None
    assert relative(fitted.run(held_out), wanted) < 0.8 * relative(plain.run(held_out), wanted)
