"""A quantized network as a TFLite file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.observers import observe_asymmetric
from edgehr.calib.quantizer.passes.depthwise_bypass import bypass_depthwise
from edgehr.calib.quantizer.placement import place_for_kernels
from edgehr.calib.quantizer.reconstruction.layers import reconstruct
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.converters.tflite.metadata import pack, read_precision
from edgehr.converters.tflite.rewrite import rewrite
from edgehr.converters.tflite.tensors import Tensors
from edgehr.converters.tflite.writer import write, write_float, write_int8
from edgehr.errors import EdgehrError
from edgehr.runtimes.formats import format_of
from edgehr.runtimes.tflite.graph import read_graph
from edgehr.zoo import get_card
from tests.calib.quantizer.small_graph import crops, gated_model, relative, small_model

CARD = get_card("litehrnet-18-coco-256x192").with_layout("nhwc")
ENDS = [True, False]


def quantized(graph: Graph | None = None, *, float_ends: bool = True, dynamic: bool = False) -> SimulatedNetwork:
    graph = graph or Graph(small_model())
    network = SimulatedNetwork(
        graph, place_for_kernels(graph, float_ends=float_ends, pooled_weight_only=True, dynamic=dynamic)
    )
    batch = crops(16)
    network.parameters = observe_asymmetric(network, batch)
    reconstruct(graph, network, batch, 3e-3)
    return network


def run(content: bytes, batch: NDArray[np.float32], *, last: bool = True) -> NDArray[np.float32]:
    """Crops (N, 3, H, W) through a file, one by one."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for crop in batch:
        image = crop.transpose(1, 2, 0) if last else crop
        interpreter.set_tensor(source, np.ascontiguousarray(image[None]))
        interpreter.invoke()
        output = interpreter.get_tensor(result)[0]
        outputs.append(output.transpose(2, 0, 1) if last else output)
    return np.stack(outputs)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("ends", ENDS)
def test_the_file_computes_what_was_simulated(*, ends: bool, dynamic: bool) -> None:
    network, batch = quantized(float_ends=ends, dynamic=dynamic), crops(4, seed=1)
    simulated = network.run(batch)
    assert relative(run(write_int8(network, CARD), batch), simulated) < 0.01
    exact = SimulatedNetwork(network.graph).run(batch)
    assert 1e-3 < relative(simulated, exact) < 0.2  # it is quantized, and still that network


def test_kernels_with_dynamic_ranges_take_float_and_weights_of_8_bits(tmp_path: Path) -> None:
    network, path = quantized(dynamic=True), tmp_path / "a.tflite"
    path.write_bytes(write_int8(network, CARD))
    kinds = Counter(
        (operator.name, *(tensor.dtype for tensor in (*operator.inputs, *operator.outputs) if tensor))
        for operator in read_graph(path).operators
        if operator.macs
    )
    dynamic = len(network.placement.dynamic)
    assert dynamic == kinds["CONV_2D", "float32", "int8", "float32", "float32"] == 3
    assert kinds["DEPTHWISE_CONV_2D", "int8", "int8", "int32", "int8"] == 1
    assert read_precision(path) == "int8"
    coverage = format_of(path).coverage(path)
    assert coverage is not None
    assert [node.int8 for node in coverage.layers].count(True) == dynamic + 1


def test_what_passes_a_convolution_is_carried_around_it() -> None:
    graph, batch = Graph(gated_model()), crops(4, seed=1)
    network = quantized(bypass_depthwise(graph, ["node_filtered"], close_gates=False), float_ends=False)
    content = write_int8(network, CARD)
    assert relative(run(content, batch), network.run(batch)) < 0.01


@pytest.mark.parametrize(("weights", "size", "least", "most"), [
    ("fp32", 1.0, 0, 1e-5), ("fp16", 0.75, 1e-5, 1e-2), ("dynamic-int8", 0.6, 1e-3, 0.2),
])  # fmt: skip
def test_a_float_network(weights: str, size: float, least: float, most: float, tmp_path: Path) -> None:
    graph, batch, path = Graph(small_model()), crops(2), tmp_path / "a.tflite"
    content = write_float(graph, CARD, weights)
    assert len(content) <= size * len(write_float(graph, CARD))
    assert least <= relative(run(content, batch), SimulatedNetwork(graph).run(batch)) < most
    path.write_bytes(content)
    assert read_precision(path) == weights


def test_channels_may_come_first() -> None:
    network, batch = quantized(), crops(2)
    first = run(write_int8(network, CARD.with_layout("nchw")), batch, last=False)
    assert np.array_equal(first, run(write_int8(network, CARD), batch))


def test_several_images_at_a_time(tmp_path: Path) -> None:
    network = quantized()
    path = tmp_path / "a.tflite"
    path.write_bytes(write_int8(network, CARD, 2))
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    batch = crops(2)
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
    )
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).transpose(0, 3, 1, 2)
    assert relative(output, run(write_int8(network, CARD), batch)) < 1e-3


def test_a_tensor_of_no_fixed_shape_is_refused() -> None:
    network = quantized()
    network.graph.shapes[network.graph.input] = [0, 3, 32, 24]
    with pytest.raises(EdgehrError, match="image: a tensor whose shape is not fixed"):
        write_int8(network, CARD)


def test_rewriting_changes_no_bit_and_leaves_no_nearest_resize(tmp_path: Path) -> None:
    network, batch = quantized(), crops(2)
    before = write(Tensors(network.graph, network, 1, "fp32"), CARD)
    after = rewrite(before)
    assert np.array_equal(run(before, batch), run(after, batch))
    names = {}
    for label, content in (("before", before), ("after", after)):
        path = tmp_path / label
        path.write_bytes(content)
        names[label] = [operator.name for operator in read_graph(path).operators]
        assert max(len(t.shape) for operator in read_graph(path).operators for t in operator.outputs) <= 4
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(after))
    graph = model.subgraphs[0]
    used = {int(i) for operator in graph.operators for end in (operator.inputs, operator.outputs) for i in end}
    assert used == set(range(len(graph.tensors)))
    assert "RESIZE_NEAREST_NEIGHBOR" in names["before"]
    assert "RESIZE_NEAREST_NEIGHBOR" not in names["after"]


def test_equal_vectors_are_in_the_file_once() -> None:
    network, batch = quantized(), crops(2)
    content = write_int8(network, CARD)
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    usual = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    assert len(pack(model)) < len(usual)
    assert np.array_equal(run(pack(model), batch), run(usual, batch))
