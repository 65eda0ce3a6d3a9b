"""Multiply-adds in INT8, against counts by hand on small graphs of every kind of file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import helper, numpy_helper
from openvino import opset13 as op

from edgehr.errors import ArtifactError
from edgehr.runtimes.coverage import Coverage, Node
from edgehr.runtimes.formats import format_of
from edgehr.runtimes.onnx.layers import graph_coverage
from edgehr.runtimes.openvino.layers import model_nodes
from tests.converters.report.small_graphs import DEPTH, FIRST, HEAD, MACS, as_ir, float_model, quantized, save
from tests.runtimes.small_tflite import Op, T, conv, depthwise, int8, nearest, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network in float32, and with Q and DQ everywhere but around its head."""
    path = tmp_path_factory.mktemp("graphs")
    save(float_model(), path / "float.onnx")
    quantized(path / "float.onnx", path / "int8.onnx", leave=("head",))
    for name in ("float", "int8"):
        as_ir(path / f"{name}.onnx", path / f"{name}.xml")
    return path


def coverage(path: Path) -> Coverage:
    found = format_of(path).coverage(path)
    assert found is not None
    return found


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_float_network_has_none_in_int8(folder: Path, suffix: str) -> None:
    found = coverage(folder / f"float{suffix}")
    assert (found.macs, found.int8_share) == (MACS, 0)
    assert [layer.macs for layer in found.layers] == [FIRST, DEPTH, HEAD]
    assert [layer.name for layer in found.layers][:2] == ["first", "depth"]
    groups = {group.operator: (group.count, group.macs) for group in found.in_float}
    assert sum(macs for _, macs in groups.values()) == MACS
    assert sum(count for count, _ in groups.values()) == len(found.nodes) == 6


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_convolution_between_q_and_dq_is_in_int8(folder: Path, suffix: str) -> None:
    found = coverage(folder / f"int8{suffix}")
    assert found.macs == MACS
    assert found.int8_share == pytest.approx((FIRST + DEPTH) / MACS)
    assert [(group.count, group.macs) for group in found.in_float if group.macs] == [(1, HEAD)]
    assert {node.operator for node in found.nodes if not node.int8} <= {"Conv", "Convolution"}
    described = found.to_dict()
    assert described["int8_share"] == found.int8_share
    assert described["in_float"][0]["macs"] == HEAD


def test_a_dynamic_batch_counts_as_one_image() -> None:
    assert graph_coverage(float_model("N")).macs == MACS


def test_weights_alone_in_int8_do_not_make_a_layer_int8() -> None:
    """A dequantized weight with float data: the arithmetic is float."""
    scale, zero = numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.int8(0), "z")
    weights = numpy_helper.from_array(np.ones((4, 3), np.int8).T.copy(), "w")
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"]),
        helper.make_node("MatMul", ["x", "d"], ["y"], name="product"),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size]) for name, size in (("x", 3), ("y", 4))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [scale, zero, weights])
    found = graph_coverage(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    assert found.nodes == (Node("product", "MatMul", 12, False),)


def test_quantized_operators_of_onnx_count(folder: Path) -> None:
    """QLinearConv takes integers: no DequantizeLinear stands before it."""
    parts = {"xs": np.float32(1), "xz": np.uint8(0), "w": np.ones((5, 2, 3, 3), np.int8), "ws": np.float32(1)}
    parts |= {"wz": np.int8(0), "ys": np.float32(1), "yz": np.uint8(0)}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in parts.items()]
    node = helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], name="q")
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, shape)
        for name, shape in (("x", [1, 2, 8, 8]), ("y", [1, 5, 6, 6]))
    ]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], constants)
    found = graph_coverage(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    assert found.nodes == (Node("q", "QLinearConv", 5 * 6 * 6 * 2 * 3 * 3, True),)


def test_a_graph_without_shapes_is_one_error(tmp_path: Path) -> None:
    model = float_model()
    model.graph.node[0].op_type, model.graph.node[0].domain = "Sparkle", "nowhere"
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(ArtifactError, match=r"odd\.onnx: its operators cannot be counted"):
        format_of(tmp_path / "odd.onnx").coverage(tmp_path / "odd.onnx")


def fake_quantized_ir(path: Path) -> Path:
    """As NNCF writes it: FakeQuantize on data and weights, a pooling between, and a product left in float."""
    rng = np.random.default_rng(0)

    def quantize(value: Any, levels: int = 256) -> Any:
        limits = np.float32(-3), np.float32(3)
        return op.fake_quantize(value, *limits, *limits, levels)

    image = op.parameter([1, 3, 16, 16], np.float32, name="image")
    image.output(0).set_names({"image"})
    weights = op.constant(rng.standard_normal((8, 3, 3, 3)).astype(np.float32))
    ones = [1, 1], [1, 1], [1, 1], [1, 1]
    first = op.convolution(quantize(image), quantize(weights, 255), *ones, name="first")
    pooled = op.max_pool(quantize(first), [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    grouped = op.constant(rng.standard_normal((8, 1, 1, 3, 3)).astype(np.float32))
    depth = op.group_convolution(pooled, quantize(grouped, 255), *ones, name="depth")
    flat = op.reshape(depth, [1, 8 * 64], special_zero=False)
    last = op.matmul(flat, op.constant(rng.standard_normal((512, 5)).astype(np.float32)), False, False, name="last")
    ov.save_model(ov.Model([op.result(last)], [image], "small"), str(path), compress_to_fp16=False)
    return path


def test_fake_quantized_ir_and_what_the_cpu_makes_of_it(tmp_path: Path) -> None:
    path = fake_quantized_ir(tmp_path / "small.xml")
    found = coverage(path)
    first, depth, last = 8 * 16 * 16 * 27, 8 * 8 * 8 * 9, 512 * 5
    assert [(layer.name, layer.macs, layer.int8) for layer in found.layers] == [
        ("first", first, True),
        ("depth", depth, True),
        ("last", last, False),
    ]
    assert found.int8_share == pytest.approx((first + depth) / (first + depth + last))
    assert found.executed is not None
    assert 0 <= found.executed <= found.int8_share + 1e-9
    nodes = {node.operator: node.int8 for node in model_nodes(ov.Core().read_model(str(path)))}
    assert nodes["MaxPool"]
    assert not nodes["Reshape"]


def test_tflite_by_the_types_of_its_tensors(tmp_path: Path) -> None:
    """Convolutions: in float, quantized, of rounded data, of widened weights, of 16 bits; and a resize."""
    image, mixed = T(), int8()
    bias = replace(T((4,)), dtype="int32", values=np.zeros(4, np.int32))
    weights = T((4, 3, 3, 4), "int8", np.zeros((4, 3, 3, 4), np.int8), (0.1,))
    packed, wide = replace(weights), T((4, 3, 3, 4))
    quantized_out, hybrid_out, wide_out = int8(), T(), T()
    finer, finer_out = T(dtype="int16", scales=(0.1,)), T(dtype="int16", scales=(0.1,))
    path = write(
        tmp_path / "a.tflite",
        conv(image),
        conv(mixed, weights, bias, quantized_out),
        depthwise(hybrid_in := T(), T((1, 3, 3, 4), "int8", np.zeros((1, 3, 3, 4), np.int8), (0.1,)), None, hybrid_out),
        Op("DEQUANTIZE", [packed], [wide]),
        conv(T(), wide, None, wide_out),
        conv(finer, replace(weights), bias, finer_out),
        nearest(quantized_out, int8(1, 16, 16, 4)),
    )
    assert hybrid_in.dtype == "float32"
    found = coverage(path)
    full, depth = 8 * 8 * 4 * (3 * 3 * 4), 8 * 8 * 4 * (3 * 3)
    assert found.macs == 4 * full + depth
    assert found.int8_share == pytest.approx((full + depth) / (4 * full + depth))
    assert [(g.operator, g.count, g.macs) for g in found.in_float] == [("CONV_2D", 3, 3 * full)]
    assert "DEPTHWISE_CONV_2D, dynamic ranges" in [node.operator for node in found.nodes]
    assert found.executed is None


def test_plans_do_not_show_their_graph(tmp_path: Path) -> None:
    assert format_of(tmp_path / "a.plan").coverage(tmp_path / "a.plan") is None
