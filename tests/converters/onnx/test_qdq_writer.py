"""The Q/DQ graph computes what the simulated network does."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.observers import observe_symmetric
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.reconstruction.layers import reconstruct
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.converters.onnx.qdq_writer import write_qdq
from edgehr.converters.tensorrt.graph import has_unsigned, is_quantized
from edgehr.runtimes.onnx.layers import graph_coverage
from tests.calib.quantizer.small_graph import crops, equalize, relative, run_onnx, small_model


def quantized(*, unsigned: bool, split: Collection[str] = ()) -> SimulatedNetwork:
    graph, batch = Graph(small_model()), crops(40)
    placement = place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=unsigned, split=split)
    graph = equalize(graph, placement, batch)
    network = SimulatedNetwork(graph, placement)
    network.parameters = observe_symmetric(network, batch)
    reconstruct(graph, network, batch, 3e-3)
    return network


@pytest.mark.parametrize("unsigned", [False, True])
def test_onnx_runtime_computes_what_was_simulated(unsigned: bool) -> None:
    network, batch = quantized(unsigned=unsigned), crops(6, seed=2)
    model = write_qdq(network)
    assert is_quantized(model)
    assert has_unsigned(model) == unsigned
    # A value half way between two steps may fall to either side.
    assert relative(run_onnx(model, batch), network.run(batch)) < 0.02


@pytest.mark.parametrize("unsigned", [False, True])
def test_what_reads_in_two_steps_is_computed_as_simulated(unsigned: bool) -> None:
    split = ["node_down", "node_depthwise", "node_again"]
    network, batch = quantized(unsigned=unsigned, split=split), crops(6, seed=2)
    model = write_qdq(network)
    assert relative(run_onnx(model, batch), network.run(batch)) < 0.02
    nodes = {node.name: node for node in model.graph.node if node.name}
    for name in split:
        coarse, fine, both = (nodes[part] for part in (f"{name}.coarse", f"{name}.fine", name))
        assert coarse.input[1] == fine.input[1]  # the weights are there once
        assert list(both.input) == [coarse.output[0], fine.output[0]]
    coverage = graph_coverage(model)
    in_int8 = {node.name for node in coverage.nodes if node.int8 and node.macs}
    assert {f"{name}.{part}" for name in split for part in ("coarse", "fine")} < in_int8


def test_weights_are_bytes_and_biases_float() -> None:
    network = quantized(unsigned=False)
    model = write_qdq(network)
    made = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in (node for node in model.graph.node if node.op_type == "Conv"):
        assert constants[node.input[2]].dtype == np.float32
        if node.name in ("node_stem", "node_head"):
            assert constants[node.input[1]].dtype == np.float32
            continue
        weight, scale = (constants[name] for name in made[node.input[1]].input)
        assert weight.dtype == np.int8
        assert scale.shape == (len(weight),)
        restored = weight * scale.reshape(-1, 1, 1, 1)
        assert np.allclose(restored, network.layers[node.name].weight.numpy(), rtol=1e-6)


def test_any_batch_is_written_from_a_graph_of_one() -> None:
    import onnxruntime as ort

    network, batch = quantized(unsigned=False), crops(5)
    for size in (5, None):
        model = write_qdq(network, size)
        dimension = model.graph.input[0].type.tensor_type.shape.dim[0]
        assert (dimension.dim_value or dimension.dim_param) == (size or "batch")
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        assert relative(session.run(None, {"image": batch})[0], network.run(batch)) < 0.05


def test_equal_constants_are_stored_once() -> None:
    model = write_qdq(quantized(unsigned=False))
    contents = [(tensor.data_type, tuple(tensor.dims), tensor.raw_data) for tensor in model.graph.initializer]
    assert len(contents) == len(set(contents))
    onnx.checker.check_model(model, full_check=True)
