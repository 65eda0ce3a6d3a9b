"""Operator lists of TFLite delegates, on small models written with LiteRT's schema."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgehr.errors import ArtifactError, EdgehrError, MissingDependencyError
from edgehr.runtimes.tflite.delegates import DELEGATES, check_delegate
from edgehr.runtimes.tflite.graph import Graph, read_graph

pytest.importorskip("ai_edge_litert")
from tests.runtimes.small_tflite import IMAGE, Op, T, const, conv, depthwise, int8, ints, nearest, options, write


def graph_of(folder: Path, *operators: Op) -> Graph:
    return read_graph(write(folder / "model.tflite", *operators))


@pytest.mark.parametrize(
    ("operator", "macs"),
    [
        (conv(T((1, 8, 8, 3)), const(4, 3, 3, 3)), 8 * 8 * 4 * 3 * 3 * 3),
        (depthwise(), 8 * 8 * 4 * 3 * 3),
        (Op("FULLY_CONNECTED", [T((2, 16)), const(10, 16)], [T((2, 10))], options("FullyConnected")), 2 * 10 * 16),
        (
            Op("TRANSPOSE_CONV", [ints(1, 8, 8, 5), const(5, 2, 2, 6), T((1, 4, 4, 6))], [T((1, 8, 8, 5))]),
            4 * 4 * 6 * 5 * 2 * 2,
        ),
        (Op("BATCH_MATMUL", [T((2, 3, 4)), T((2, 4, 5))], [T((2, 3, 5))], options("BatchMatMul")), 2 * 3 * 5 * 4),
        (
            Op("BATCH_MATMUL", [T((2, 4, 3)), T((2, 4, 5))], [T((2, 3, 5))], options("BatchMatMul", adjX=True)),
            2 * 3 * 5 * 4,
        ),
        (conv(T((-1, 8, 8, 4)), out=T((-1, 8, 8, 4))), 8 * 8 * 4 * 3 * 3 * 4),
        (Op("ADD", [T(), T()]), 0),
    ],
    ids=lambda value: value.name if isinstance(value, Op) else "",
)
def test_multiply_adds_of_an_operator(tmp_path: Path, operator: Op, macs: int) -> None:
    graph = graph_of(tmp_path, operator)
    assert graph.operators[0].macs == graph.macs == macs


def test_graph_holds_what_the_file_says(tmp_path: Path) -> None:
    weights = const(4, 3, 3, 4, dtype="int8", scales=(0.1, 0.2, 0.3, 0.4))
    first = conv(int8(), weights, const(4, dtype="int32"), int8(), fusedActivationFunction=3, dilationHFactor=2)
    padded = Op("PAD", [first.outputs[0], ints((0, 0), (1, 1), (1, 1), (0, 0))], [int8(1, 10, 10, 4)], version=2)
    graph = graph_of(tmp_path, first, padded, Op("Sparkle", [padded.outputs[0], None], [int8(1, 10, 10, 4)]))

    assert [operator.name for operator in graph.operators] == ["CONV_2D", "PAD", "Sparkle"]
    assert [operator.version for operator in graph.operators] == [1, 2, 1]
    assert graph.operators[0].options["fused_activation"] == "RELU6"
    assert graph.operators[0].options["padding"] == "SAME"
    assert (graph.operators[0].options["dilation_h"], graph.operators[0].options["stride_w"]) == (2, 1)
    data, filters, bias = graph.operators[0].inputs
    assert data is not None
    assert filters is not None
    assert bias is not None
    assert (data.shape, data.dtype, data.constant, data.scales, data.axis) == (IMAGE, "int8", False, 1, None)
    assert (filters.constant, filters.scales, filters.axis) == (True, 4, 0)
    assert bias.dtype == "int32"
    amounts = graph.operators[1].inputs[1]
    assert amounts is not None
    assert amounts.values == (0, 0, 1, 1, 1, 1, 0, 0)
    assert graph.operators[2].inputs[1] is None
    assert graph.inputs == (data,)
    assert graph.outputs == graph.operators[2].outputs


FILTER = const(4, 3, 3, 4, dtype="int8", scales=(0.1,) * 4)
QUANTIZED_CONV = conv(int8(), FILTER, const(4, dtype="int32", scales=(0.05,) * 4), int8())
FLOAT_CONV_OF_INT8 = conv(weights=const(4, 3, 3, 4, dtype="int8", scales=(0.1,)))
FIVE = (1, 2, 2, 8, 8)
MEAN = options("Reducer", keepDims=True)
# Operator, and by delegate a part of the reason, or "" where it is taken.
CASES = {
    "float convolution": (conv(), {"gpu": "", "xnnpack": ""}),
    "quantized convolution": (QUANTIZED_CONV, dict.fromkeys(DELEGATES, "")),
    "convolution without bias": (
        Op("CONV_2D", [T(), const(4, 3, 3, 4)], [T()], options("Conv2D", strideH=1, strideW=1)),
        {"gpu": "", "xnnpack": "it has no bias"},
    ),
    "float convolution of int8 weights": (FLOAT_CONV_OF_INT8, {"gpu": "", "xnnpack": ""}),
    "float depthwise of int8 weights": (
        depthwise(weights=const(1, 3, 3, 4, dtype="int8", scales=(0.1,))),
        {"gpu": "", "xnnpack": "mixes float32 data with int8"},
    ),
    "convolution with TANH": (
        conv(fusedActivationFunction=4),
        {"gpu": "", "xnnpack": "fused_activation is TANH"},
    ),
    "uneven dilation": (
        conv(
            int8(), const(4, 3, 3, 4, dtype="int8", scales=(1.0,)), const(4, dtype="int32"), int8(), dilationHFactor=2
        ),
        {"gpu": ""},
    ),
    "transpose of five dimensions": (
        Op("TRANSPOSE", [T(FIVE), ints(0, 2, 1, 3, 4)], [T(FIVE)]),
        {"gpu": "5 dimensions: at most 4", "xnnpack": ""},
    ),
    "later version": (
        Op("TRANSPOSE", [T(), ints(0, 2, 1, 3)], [T()], version=4),
        {"gpu": ""},
    ),
    "nearest neighbor": (nearest(), {"gpu": "", "xnnpack": "not on the list"}),
    "nearest neighbor, int8": (nearest(int8(), int8(1, 16, 16, 4)), {"gpu": ""}),
    "batch of two, int8": (
        Op("LOGISTIC", [int8(2, 8, 8, 4)], [int8(2, 8, 8, 4)]),
        {"gpu": "", "xnnpack": ""},
    ),
    "dynamic batch": (
        Op("LOGISTIC", [int8(-1, 8, 8, 4)], [int8(-1, 8, 8, 4)]),
        {"xnnpack": ""},
    ),
    "mean over height and width": (Op("MEAN", [T(), ints(1, 2)], [T((1, 1, 1, 4))], MEAN), {"gpu": "", "xnnpack": ""}),
    "mean over three channels": (
        Op("MEAN", [int8(1, 8, 8, 3), ints(-1)], [int8(1, 8, 8, 1)], MEAN),
        {"gpu": ""},
    ),
    "mean over computed axes": (
        Op("MEAN", [T(), T((2,), "int32")], [T((1, 1, 1, 4))], MEAN),
        dict.fromkeys(("gpu", "xnnpack"), "its axes must be constant"),
    ),
    "padding of the batch": (
        Op("PAD", [int8(), ints((1, 0), (0, 0), (0, 0), (0, 0))], [int8(2, 8, 8, 4)]),
        {"gpu": ""},
    ),
    "padding of a matrix": (
        Op("PAD", [T((4, 4)), ints((1, 1), (1, 1))], [T((6, 6))]),
        {"gpu": "not of 3 or 4 dimensions", "xnnpack": ""},
    ),
    "slice of a matrix": (
        Op("SLICE", [T((4, 4)), ints(0, 0), ints(2, 2)], [T((2, 2))]),
        {"gpu": "its input 0 has 2 dimensions: 3 or 4 only", "xnnpack": ""},
    ),
    "slice in steps": (
        Op("STRIDED_SLICE", [T(), ints(0, 0, 0, 0), ints(1, 8, 8, 4), ints(1, 2, 2, 1)], [T((1, 4, 4, 4))]),
        {"gpu": "", "xnnpack": "steps are not all 1"},
    ),
    "concatenation of six": (
        Op("CONCATENATION", [T() for _ in range(6)], [T((1, 8, 8, 24))], options("Concatenation", axis=3)),
        {"gpu": "", "xnnpack": "it has 6 inputs: 2 to 5"},
    ),
    "rectifier, int8": (Op("RELU", [int8()], [int8()], version=2), {"xnnpack": "int8 data", "gpu": ""}),
    "softmax with beta": (
        Op("SOFTMAX", [T((1, 9))], [T((1, 9))], options("Softmax", beta=2.0)),
        {"gpu": "its beta is 2.0", "xnnpack": "its beta is 2.0"},
    ),
    "unlike scales": (
        Op("QUANTIZE", [int8(scale=200.0)], [int8(scale=1.0)], version=2),
        {"xnnpack": "differ too much", "gpu": ""},
    ),
    "vector over an image": (Op("ADD", [T(), const(4)], [T()], options("Add")), dict.fromkeys(("gpu", "xnnpack"), "")),
    "row over an image": (
        Op("MUL", [T(), T((8, 4))], [T()], options("Mul")),
        {"gpu": "it spreads 8x4 over 1x8x8x4", "xnnpack": ""},
    ),
    "quantizing the input": (
        Op("QUANTIZE", [T()], [int8()]),
        {"gpu": "", "xnnpack": ""},
    ),
    "custom operator": (Op("Sparkle", [T()]), dict.fromkeys(DELEGATES, "not on the list")),
}


@pytest.mark.parametrize(
    ("case", "delegate"), [(case, delegate) for case, (_, expected) in CASES.items() for delegate in expected]
)
def test_operator_is_taken_or_refused(tmp_path: Path, case: str, delegate: str) -> None:
    operator, expected = CASES[case]
    graph = graph_of(tmp_path, operator)
    report = check_delegate(graph, delegate)
    assert [refusal.operator for refusal in report.refused] == ([operator.name] if expected[delegate] else [])
    for refusal in report.refused:
        assert expected[delegate] in refusal.reason
        assert refusal.output == graph.operators[0].outputs[0].name
        assert not refusal.supported
    assert report.refused_macs == sum(refusal.macs for refusal in report.refused)
    assert report.refused_share == (1.0 if report.refused and graph.macs else 0.0)
    assert report.source.startswith("https://")


@pytest.mark.parametrize("case", [case for case, (_, expected) in CASES.items() if "xnnpack" in expected])
def test_xnnpack_list_is_what_the_library_does(tmp_path: Path, case: str) -> None:
    if case in ("custom operator", "convolution without bias"):
        return  # the library has no such kernel at all
    from ai_edge_litert.interpreter import Interpreter

    operator, expected = CASES[case]
    interpreter = Interpreter(str(write(tmp_path / "model.tflite", operator)))
    interpreter.allocate_tensors()
    names = Counter(entry["op_name"] for entry in interpreter._get_ops_details())
    assert names["DELEGATE"] == (0 if expected["xnnpack"] else 1)


def chain(*names: str) -> list[Op]:
    """Convolutions (c, 9216 multiply-adds) and operators that no list has (x), one after the other."""
    made: list[Op] = []
    for name in names:
        data = made[-1].outputs[0] if made else int8()
        weights, bias = const(4, 3, 3, 4, dtype="int8", scales=(0.1,)), const(4, dtype="int32")
        made.append(conv(data, weights, bias, int8()) if name == "c" else Op("Sparkle", [data], [int8()]))
    return made


@pytest.mark.parametrize(
    ("delegate", "on_cpu", "parts"),
    [("gpu", [0, 1, 4, 5], 1), ("xnnpack", [1, 4], 3)],
)
def test_delegate_takes_as_many_parts_as_it_does_by_default(
    tmp_path: Path, delegate: str, on_cpu: list[int], parts: int
) -> None:
    graph = graph_of(tmp_path, *chain("c", "x", "c", "c", "x", "c"))
    report = check_delegate(graph, delegate)
    assert [refusal.output for refusal in report.refused] == [graph.operators[i].outputs[0].name for i in on_cpu]
    assert [refusal.supported for refusal in report.refused] == [index not in (1, 4) for index in on_cpu]
    assert report.partitions == parts
    assert report.operators == 6
    assert report.macs == 4 * 9216
    assert report.refused_macs == 9216 * sum(index not in (1, 4) for index in on_cpu)


def test_float16_weights_are_unpacked_for_nothing(tmp_path: Path) -> None:
    weights = T((4, 3, 3, 4))
    unpacking = Op("DEQUANTIZE", [const(4, 3, 3, 4, dtype="float16")], [weights])
    graph = graph_of(tmp_path, unpacking, conv(weights=weights))
    for delegate in DELEGATES:
        report = check_delegate(graph, delegate)
        assert not report.refused
        assert report.partitions == 1


def test_notes_say_what_a_list_leaves_open(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, conv(T((-1, 8, 8, 4)), out=T((-1, 8, 8, 4))))
    notes = check_delegate(graph, "gpu").notes
    assert any("comparisons and logical operators" in note for note in notes)
    assert any("dynamic dimensions" in note for note in notes)
    with pytest.raises(EdgehrError, match="expected one of gpu, xnnpack"):
        check_delegate(graph, "npu")


def test_broken_file_gives_one_line(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.tflite", *chain("c", "x", "c"), nearest()).read_bytes()
    path = tmp_path / "broken.tflite"
    with pytest.raises(ArtifactError, match=r"broken\.tflite: cannot be read \(No such file"):
        read_graph(path)
    random = np.random.default_rng(0)
    broken = [b"", b"TFL3", b"\0" * 64, whole[: len(whole) // 2], b"not a model at all"]
    for _ in range(200):
        altered = bytearray(whole)
        for place in random.integers(0, len(whole), 4):
            altered[place] = random.integers(0, 256)
        broken.append(bytes(altered))
    messages = []
    for data in broken:
        path.write_bytes(data)
        try:
            graph = read_graph(path)
        except ArtifactError as error:
            messages.append(str(error))
        else:  # some alterations change no structure
            for delegate in DELEGATES:
                check_delegate(graph, delegate)
    assert len(messages) > 20
    assert all(message.startswith(f"{path}: is ") and "\n" not in message for message in messages)


def test_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "model.tflite", conv())
    monkeypatch.setitem(sys.modules, "ai_edge_litert.schema_py_generated", None)
    monkeypatch.delattr("ai_edge_litert.schema_py_generated", raising=False)
    with pytest.raises(MissingDependencyError, match=r"edgehr\[tflite\]"):
        read_graph(path)
