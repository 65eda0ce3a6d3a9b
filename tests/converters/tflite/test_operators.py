"""Operators of ONNX as TFLite computes them, against ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.converters.tflite.metadata import operator_counts
from edgehr.converters.tflite.writer import write_float
from edgehr.errors import EdgehrError
from edgehr.zoo import get_card

CARD = get_card("litehrnet-18-coco-256x192").with_layout("nhwc")
IMAGE = (2, 6, 8, 10)
RANDOM = np.random.default_rng(0)


def values(*shape: int) -> NDArray[np.float32]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def integers(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def model(*nodes: Any, shape: tuple[int, ...] = IMAGE, **constants: NDArray[Any]) -> Any:
    """A graph from `x` to `y`."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in (("x", shape), ("y", None))]
    kept = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "small", ends[:1], ends[1:], kept)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


def node(kind: str, *inputs: str, made: str = "y", **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), made.split(), f"{kind} {made}", **attributes)


def run_tflite(content: bytes, data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Data in the order of ONNX through a file of channels last."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.set_tensor(source, np.ascontiguousarray(data.transpose(0, 2, 3, 1) if data.ndim == 4 else data))
    interpreter.invoke()
    output: NDArray[np.float32] = interpreter.get_tensor(result)
    return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output


def check(made: Any, weights: str = "fp32", tolerance: float = 1e-5) -> Counter[str]:
    """Both compute the same; returns the operators of the file."""
    shape = [size.dim_value for size in made.graph.input[0].type.tensor_type.shape.dim]
    data = 2 * values(*shape)
    content = write_float(Graph(made), CARD, weights)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": data})
    np.testing.assert_allclose(run_tflite(content, data), wanted, rtol=tolerance, atol=tolerance)
    return Counter(operator_counts(content))


@pytest.mark.parametrize("kind", ["Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Exp"])
def test_activations(kind: str) -> None:
    assert not check(model(node(kind, "x")))["TRANSPOSE"]


def test_a_hard_sigmoid_of_mobile_networks_is_a_fused_sum_and_a_product() -> None:
    assert check(model(node("HardSigmoid", "x", alpha=1 / 6))) == {"ADD": 1, "MUL": 1}


@pytest.mark.parametrize(
    ("low", "high", "operators"),
    [(0, 6, {"RELU6": 1}), (-1, 1, {"RELU_N1_TO_1": 1}), (-0.5, 2, {"MAXIMUM": 1, "MINIMUM": 1})],
)
def test_clips(low: float, high: float, operators: dict[str, int]) -> None:
    assert check(model(node("Clip", "x", "low", "high"), low=np.float32(low), high=np.float32(high))) == operators


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (6, 1, 1), (1, 6, 1, 10)])
def test_constants_are_broadcast(kind: str, shape: tuple[int, ...]) -> None:
    assert check(model(node(kind, "x", "c"), c=2 + np.abs(values(*shape)))) == {kind.upper(): 1}
    check(model(node("Exp", "x", made="e"), node(kind, "c", "e"), c=values(*shape)))


def test_an_activation_is_fused_where_nobody_else_reads() -> None:
    low, high = np.float32(0), np.float32(6)
    made = model(
        node("Add", "x", "c", made="a"), node("Clip", "a", "low", "high"), c=values(6, 1, 1), low=low, high=high
    )
    assert check(made) == {"ADD": 1}
    made = model(node("Add", "x", "x", made="a"), node("Relu", "a", made="b"), node("Mul", "a", "b"))
    assert check(made) == {"ADD": 1, "RELU": 1, "MUL": 1}
    assert check(model(node("Concat", "x", "x", made="a", axis=1), node("Relu", "a"))) == {
        "CONCATENATION": 1,
        "RELU": 1,
    }


@pytest.mark.parametrize("attributes", [
    {}, {"pads": [1, 1, 1, 1]}, {"pads": [1, 1, 1, 1], "strides": [2, 2]}, {"pads": [0, 1, 2, 1]},
    {"pads": [2, 2, 2, 2], "dilations": [2, 2]}, {"pads": [1, 1, 1, 1], "group": 2}, {"group": 6},
])  # fmt: skip
def test_convolutions(attributes: dict[str, Any]) -> None:
    weight = values(12, 6 // attributes.get("group", 1), 3, 3)
    found = check(model(node("Conv", "x", "w", "b", **attributes), w=weight, b=values(12)), tolerance=1e-4)
    assert found["PAD"] == ("strides" in attributes or attributes.get("pads") == [0, 1, 2, 1])


@pytest.mark.parametrize("behind", ["Relu", "Tanh"])
@pytest.mark.parametrize("attributes", [
    {"kernel_shape": [2, 2], "strides": [2, 2]}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]},
])  # fmt: skip
def test_largest_of_windows(behind: str, attributes: dict[str, Any]) -> None:
    made = model(node(behind, "x", made="a"), node("MaxPool", "a", **attributes))
    assert check(made)["PADV2"] == (behind == "Tanh" and "strides" in attributes and "pads" in attributes)


def test_averages() -> None:
    check(model(node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])))
    check(model(node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)))
    assert check(model(node("GlobalAveragePool", "x"))) == {"MEAN": 1}
    assert check(model(node("ReduceMean", "x", "a", keepdims=0), a=integers(2, 3))) == {"MEAN": 1}
    check(model(node("ReduceMean", "x", "a"), a=integers(-3)))


@pytest.mark.parametrize("how", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
def test_bilinear_resizing(how: str) -> None:
    resize = node("Resize", "x", "", "", "s", mode="linear", coordinate_transformation_mode=how)
    assert check(model(resize, s=integers(2, 6, 16, 25))) == {"RESIZE_BILINEAR": 1}


def test_nearest_resizing_is_by_whole_factors() -> None:
    check(model(node("Resize", "x", "", "", "s", mode="nearest"), s=integers(2, 6, 16, 30)))
    with pytest.raises(EdgehrError, match="Resize y: a Resize by nearest, half_pixel cannot be written as TFLite"):
        check(model(node("Resize", "x", "", "", "s", mode="nearest"), s=integers(2, 6, 12, 10)))


def test_concatenation_slices_and_splits() -> None:
    check(model(node("Concat", "x", "c", made="a", axis=2), node("Concat", "a", "a", axis=-3), c=values(2, 6, 1, 10)))
    bounds = {"s": integers(1, -3), "e": integers(5, 100), "a": integers(1, 3), "t": integers(1, 2)}
    assert check(model(node("Slice", "x", *"seat"), **bounds)) == {"STRIDED_SLICE": 1}
    assert check(model(node("Slice", "x", *"sea"), **bounds)) == {"SLICE": 1}
    parts = node("Split", "x", "n", made="a b", axis=1), node("Concat", "b", "a", axis=1)
    assert check(model(*parts, n=integers(2, 4))) == {"SLICE": 2, "CONCATENATION": 1}


def test_a_classification_head() -> None:
    nodes = [
        node("GlobalAveragePool", "x", made="p"),
        node("Flatten", "p", made="f"),
        node("Gemm", "f", "w", "b", made="g", transB=1, alpha=0.5),
        node("Softmax", "g"),
    ]
    found = check(model(*nodes, w=values(7, 6), b=values(7)))
    assert found == {"MEAN": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    check(model(*nodes[:2], node("MatMul", "f", "w"), w=values(6, 7)))


def test_attention_over_positions() -> None:
    """As object-contextual representations have it: pixels and regions, one product of matrices after the other."""
    nodes = [
        node("Conv", "x", "w", made="k"),
        node("Reshape", "x", "flat", made="pixels"),
        node("Reshape", "k", "flat", made="maps"),
        node("Softmax", "maps", made="regions", axis=2),
        node("Transpose", "pixels", made="columns", perm=[0, 2, 1]),
        node("MatMul", "regions", "columns", made="context"),
        node("MatMul", "columns", "turned", made="likeness"),
        node("Transpose", "context", made="turned", perm=[0, 2, 1]),
        node("Softmax", "likeness", made="weights", axis=-1),
        node("MatMul", "weights", "context", made="read"),
        node("Transpose", "read", made="back", perm=[0, 2, 1]),
        node("Reshape", "back", "map"),
    ]
    nodes[6:8] = nodes[7:5:-1]
    constants = {"w": values(3, 6, 1, 1), "flat": integers(0, 0, -1), "map": integers(2, 6, 8, 10)}
    found = check(model(*nodes, **constants), tolerance=1e-4)
    assert found["BATCH_MATMUL"] == 3
    assert found["TRANSPOSE"] <= 2  # regions, and what is compared with them: pixels come channels last as they are


def test_channel_shuffles_move_data_once() -> None:
    nodes = [
        node("Reshape", "x", "apart", made="a"),
        node("Transpose", "a", made="b", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "b", "together"),
    ]
    found = check(model(*nodes, apart=integers(2, 2, 3, 8, 10), together=integers(2, 6, 8, 10)))
    assert found == {"RESHAPE": 2, "TRANSPOSE": 1}


def test_group_normalization_as_pytorch_exports_it() -> None:
    nodes = [
        node("Reshape", "x", "groups", made="a"),
        node("InstanceNormalization", "a", "one", "zero", made="b", epsilon=1e-5),
        node("Reshape", "b", "whole", made="c"),
        node("Mul", "c", "scale", made="d"),
        node("Add", "d", "bias"),
    ]
    groups = {"groups": integers(0, 2, -1), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32)}
    check(model(*nodes, **groups, whole=integers(*IMAGE), scale=values(6, 1, 1), bias=values(6, 1, 1)))
    check(model(node("InstanceNormalization", "x", "s", "b"), s=values(6), b=values(6)))


def test_shapes_change_without_moving_what_is_channels_last() -> None:
    assert (
        check(model(node("Unsqueeze", "x", "a", made="u"), node("Squeeze", "u", "a"), a=integers(4)))["TRANSPOSE"] == 0
    )
    check(model(node("Flatten", "x")))
    check(model(node("Transpose", "x", perm=[0, 2, 3, 1])))
    check(model(node("Identity", "x", made="i"), node("Relu", "i")))


@pytest.mark.parametrize(("weights", "tolerance"), [("fp16", 1e-2), ("dynamic-int8", 0.3)])
def test_weights_of_fewer_bits(weights: str, tolerance: float) -> None:
    nodes = [
        node("Conv", "x", "w", "b", made="c"),
        node("GlobalAveragePool", "c", made="p"),
        node("Flatten", "p", made="f"),
    ]
    check(model(*nodes, node("Gemm", "f", "m"), w=values(8, 6, 3, 3), b=values(8), m=values(8, 4)), weights, tolerance)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Erf", "x")], "Erf y: a Erf cannot be written as TFLite"),
        ([node("Clip", "x", "x")], "a Clip without constant bounds"),
        ([node("Gemm", "x", "x")], "a Gemm without constant weights"),
        ([node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], "rounds sizes up"),
        ([node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], "leaves its padding out"),
    ],
)
def test_what_cannot_be_written_is_named(nodes: list[Any], message: str) -> None:
    shape = (4, 4) if nodes[0].op_type == "Gemm" else IMAGE
    made = model(*nodes, shape=shape)
    if nodes[0].op_type == "Clip":
        made.graph.value_info.extend([])
    with pytest.raises(EdgehrError, match=message):
        write_float(Graph(made), CARD)
