"""What is taken out of an IR changes nothing of what it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.observers import observe_symmetric
from edgehr.calib.quantizer.placement import place_for_qdq
from edgehr.calib.quantizer.reconstruction.layers import reconstruct
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.converters.onnx.qdq_writer import write_qdq
from edgehr.converters.openvino.compress import compress_model, strip_indentation
from edgehr.converters.openvino.ir import to_ir
from tests.calib.quantizer.small_graph import crops, small_model


def int8_ir(*, halves: bool = False) -> Any:
    """With filters in float that are float16 numbers, or not."""
    graph, batch = Graph(small_model()), crops(8)
    network = SimulatedNetwork(graph, place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=True))
    network.parameters = observe_symmetric(network, batch)
    reconstruct(graph, network, batch, 3e-3)
    for layer in network.layers.values():
        if halves and layer.scale is None:
            layer.weight = layer.weight.half().float()
    return to_ir(write_qdq(network))


def run(path: Path, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    model = ov.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([model([crop[None]])[0] for crop in batch])


def write_compressed(model: Any, path: Path) -> None:
    compress_model(model)
    ov.save_model(model, str(path), compress_to_fp16=False)
    strip_indentation(path)


def test_it_computes_the_same_from_a_smaller_file_whose_operators_keep_their_names(tmp_path: Path) -> None:
    whole, compressed = tmp_path / "whole.xml", tmp_path / "compressed.xml"
    ov.save_model(int8_ir(halves=True), str(whole), compress_to_fp16=False)
    write_compressed(int8_ir(halves=True), compressed)
    assert compressed.stat().st_size < 0.9 * whole.stat().st_size
    assert np.array_equal(run(compressed, crops(3)), run(whole, crops(3)))
    names = [
        {
            op.get_friendly_name()
            for op in ov.Core().read_model(str(path)).get_ops()
            if "node_" in op.get_friendly_name()
        }
        for path in (whole, compressed)
    ]
    assert names[1] <= names[0]
    assert {"node_stem", "node_again"} <= names[1]


def test_large_filters_in_float_take_two_bytes_a_weight(tmp_path: Path) -> None:
    write_compressed(int8_ir(), tmp_path / "compressed.xml")
    compressed = ov.Core().read_model(str(tmp_path / "compressed.xml"))
    stored = {
        (str(op.get_element_type()), op.get_byte_size())
        for op in compressed.get_ops()
        if op.get_type_name() == "Constant"
    }
    stem = 16 * 3 * 3 * 3
    assert ("<Type: 'float16'>", 2 * stem) in stored
    assert ("<Type: 'float32'>", 4 * stem) not in stored
    assert ("<Type: 'float32'>", 4 * 16 * 5) in stored  # the head: too small to gain


@pytest.mark.parametrize("factor", [1e5, 1e-6])
def test_filters_that_float16_does_not_hold_stay(factor: float, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).uniform(1, 2, (16, 3, 3, 3)).astype(np.float32)
    weight[3] *= factor
    image = ops.parameter([1, 3, 8, 6], np.float32)
    model = ov.Model([ops.convolution(image, ops.constant(weight), [1, 1], [0, 0], [0, 0], [1, 1])], [image])
    write_compressed(model, tmp_path / "compressed.xml")
    stored = [
        op
        for op in ov.Core().read_model(str(tmp_path / "compressed.xml")).get_ops()
        if op.get_type_name() == "Constant"
    ]
    assert np.array_equal(stored[0].data, weight)
