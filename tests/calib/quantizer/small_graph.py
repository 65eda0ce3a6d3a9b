"""A small network that has what pose networks have: branches, sums, gates, depthwise and strided convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise
from edgehr.calib.quantizer.noise.statistics import measure_statistics
from edgehr.calib.quantizer.passes.equalization import equalizing_factors, rescale_channels
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.simulation import QuantizationParameters, SimulatedNetwork

HEIGHT, WIDTH = 32, 24


def crops(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Smooth random inputs (N, 3, H, W)."""
    coarse = np.random.default_rng(seed).standard_normal((count, 3, HEIGHT // 4, WIDTH // 4)).astype(np.float32)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)


def small_model(seed: int = 0) -> Any:
    """An `onnx.ModelProto` whose channels have ranges that differ by up to a thousand."""
    make = _Maker(seed)
    make.conv("stem", "image", 3, 16, stride=2)
    make.node("Relu", ["stem"], ["x"])
    make.conv("down", "x", 16, 32, stride=2)
    make.node("Relu", ["down"], ["low"])
    make.conv("depthwise", "low", 32, 32, groups=32)
    make.conv("mix", "depthwise", 32, 16, size=1)
    make.node("Resize", ["mix", "", make.constant(np.array([1, 1, 2, 2], np.float32))], ["up"], mode="nearest")
    make.node("Add", ["x", "up"], ["sum"])
    make.node("Relu", ["sum"], ["y"])
    make.node("Concat", ["x", "y"], ["both"], axis=1)
    bounds = [make.constant(np.array([number])) for number in (8, 24, 1)]
    make.node("Slice", ["both", *bounds], ["middle"])
    make.node("ReduceMean", ["middle", make.constant(np.array([2, 3]))], ["mean"], keepdims=1)
    make.conv("squeeze", "mean", 16, 16, size=1)
    make.node("Sigmoid", ["squeeze"], ["gate"])
    make.node("Mul", ["middle", "gate"], ["weighted"])
    make.conv("again", "weighted", 16, 16, size=3)
    make.node("Relu", ["again"], ["z"])
    make.conv("head", "z", 16, 5, size=1)
    return make.model("head", [1, 5, HEIGHT // 2, WIDTH // 2])


PASSING = (0, 3, 5, 10)  # channels that the filter of `gated_model` lets pass
PASS = 20.0  # a sigmoid of it is 1


def gated_model(seed: int = 0) -> Any:
    """An `onnx.ModelProto` with a depthwise convolution of what gates multiply, some channels of which it lets pass."""
    make = _Maker(seed)
    make.conv("stem", "image", 3, 16, stride=2)
    make.node("Relu", ["stem"], ["x"])
    make.node("ReduceMean", ["x", make.constant(np.array([2, 3]))], ["mean"], keepdims=1)
    make.conv("squeeze", "mean", 16, 24, size=1)
    make.node("Sigmoid", ["squeeze"], ["sigmoid"])
    make.node("Split", ["sigmoid", make.constant(np.array([8, 16]))], ["other", "gate"], axis=1)
    make.node("Mul", ["x", "gate"], ["gated"])
    make.conv("filtered", "gated", 16, 16, groups=16)
    make.conv("read", "other", 8, 16, size=1)
    make.node("Add", ["filtered", "read"], ["sum"])
    make.conv("head", "sum", 16, 5, size=1)
    model = make.model("head", [1, 5, HEIGHT // 2, WIDTH // 2])
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    places = {node.name: node.input[1:] for node in model.graph.node if node.op_type == "Conv"}
    identity = np.zeros((3, 3), np.float32)
    identity[1, 1] = 1
    for channel in PASSING:
        _set(constants[places["node_filtered"][0]], channel, identity)
        _set(constants[places["node_filtered"][1]], channel, 0)
        _set(constants[places["node_squeeze"][0]], 8 + channel, 0.1)
        _set(constants[places["node_squeeze"][1]], 8 + channel, PASS)
    return model


def _set(constant: Any, row: int, value: Any) -> None:
    changed = numpy_helper.to_array(constant).copy()
    changed[row] = value
    constant.CopyFrom(numpy_helper.from_array(changed, constant.name))


class _Maker:
    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, outputs, f"node_{outputs[0]}", **attributes))

    def conv(
        self, name: str, source: str, read: int, made: int, size: int = 3, stride: int = 1, groups: int = 1
    ) -> None:
        shape = (made, read // groups, size, size)
        rows = np.exp(self._random.uniform(-3, 3, (made, 1, 1, 1)))
        weight = self._random.standard_normal(shape) * rows / np.sqrt(np.prod(shape[1:]))
        bias = self._random.standard_normal(made) * rows[:, 0, 0, 0]
        numbers = [self.constant(value.astype(np.float32)) for value in (weight, bias)]
        pad, ends = size // 2, [stride, stride]
        self.node(
            "Conv", [source, *numbers], [name], group=groups, kernel_shape=[size] * 2, pads=[pad] * 4, strides=ends
        )

    def model(self, output: str, shape: list[int]) -> Any:
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
            for name, size in (("image", [1, 3, HEIGHT, WIDTH]), (output, shape))
        ]
        graph = helper.make_graph(self._nodes, "small", ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model


def run_onnx(model: Any, batch: NDArray[np.float32], *, fused: bool = False) -> NDArray[np.float32]:
    """The model on ONNX Runtime, a crop at a time; without fusion, Q and DQ round where they stand."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if not fused:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts: NDArray[np.float32] = np.concatenate([session.run(None, {name: crop[None]})[0] for crop in batch])
    return parts


def relative(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Root mean square of the difference over that of what is wanted."""
    return float(np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()))


def equalize(graph: Graph, placement: Placement, batch: NDArray[np.float32]) -> Graph:
    """The graph with its channels rescaled for these quantizers."""
    groups, statistics = ChannelGroups(graph), measure_statistics(graph, batch, placement)
    factors = equalizing_factors(ExpectedNoise(graph, placement, groups, statistics))
    return rescale_channels(graph, groups, factors)


def observe_min_max(network: SimulatedNetwork, batch: NDArray[np.float32]) -> dict[int, QuantizationParameters]:
    """Scales at which nothing is clipped: the largest magnitude seen is the largest integer."""
    placement, scales = network.placement, dict.fromkeys(network.placement.quantizers.values(), 1e-9)
    for name, magnitudes in network.measure(batch, lambda name, value: float(value.abs().max())).items():
        if name in placement.quantizers:
            key = placement.quantizers[name]
            scales[key] = max(scales[key], max(magnitudes) / placement.bounds(key)[1])
    return {key: QuantizationParameters(scale) for key, scale in scales.items()}
