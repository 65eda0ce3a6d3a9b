"""Networks of several outputs, whose heads look at all levels of a pyramid with the same filters."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgehr.calib.quantize import _pack, _unpack, prepare, quantize_on
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.calib.recipes import KernelRecipe, QDQRecipe, Recipe
from edgehr.converters.onnx.qdq_writer import write_qdq
from edgehr.converters.tflite.writer import write_int8
from edgehr.runtimes.onnx.library import ort
from edgehr.zoo import get_card
from tests.calib.quantizer.small_graph import relative

CARD = get_card("litehrnet-18-coco-256x192").with_size(32, 32)
HEADS = ["head0", "last0", "head1", "last1"]
few = {"equalize_crops": 8, "range_crops": 8, "fit_crops": 8, "float_ends": True}


def pyramid_model() -> Any:
    """image (1, 3, 32, 32) to places (1, 320, 4) of two levels, and features (1, 16, 16, 8) channels last."""
    random = np.random.default_rng(0)
    values: dict[str, NDArray[Any]] = {"ones": np.ones(2, np.float32), "zeros": np.zeros(2, np.float32)}
    for name, shape in (
        ("stem", (8, 3, 3, 3)), ("fpn0", (8, 8, 3, 3)), ("fpn1", (8, 8, 3, 3)), ("head", (8, 8, 3, 3)),
        ("last", (4, 8, 1, 1)),
    ):  # fmt: skip
        rows = np.exp(random.uniform(-1, 1, (shape[0], 1, 1, 1)))
        values[name] = np.float32(rows * random.standard_normal(shape) / np.sqrt(np.prod(shape[1:])))
    values["gain"] = random.uniform(0.5, 2, (1, 8, 1, 1)).astype(np.float32)
    values |= {"groups": np.array([1, 2, -1]), "rows": np.array([1, -1, 4])}
    wide = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["s"], "stem", strides=[2, 2], **wide),
        helper.make_node("Relu", ["s"], ["whole"], "relu"),
        helper.make_node("AveragePool", ["whole"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    for level, (source, side) in enumerate((("whole", 16), ("pooled", 8))):
        values[f"back{level}"] = np.array([1, 8, side, side])
        nodes += [
            helper.make_node("Conv", [source, f"fpn{level}"], [f"p{level}"], f"fpn{level}", **wide),
            helper.make_node("Conv", [f"p{level}", "head"], [f"h{level}"], f"head{level}", **wide),
            helper.make_node("Reshape", [f"h{level}", "groups"], [f"g{level}"]),
            helper.make_node("InstanceNormalization", [f"g{level}", "ones", "zeros"], [f"n{level}"]),
            helper.make_node("Reshape", [f"n{level}", f"back{level}"], [f"b{level}"]),
            helper.make_node("Mul", [f"b{level}", "gain"], [f"m{level}"]),
            helper.make_node("Relu", [f"m{level}"], [f"r{level}"]),
            helper.make_node("Conv", [f"r{level}", "last"], [f"l{level}"], f"last{level}", kernel_shape=[1, 1]),
            helper.make_node("Transpose", [f"l{level}"], [f"t{level}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"t{level}", "rows"], [f"o{level}"]),
        ]
    nodes += [
        helper.make_node("Concat", ["o0", "o1"], ["places"], axis=1),
        helper.make_node("Transpose", ["p0"], ["features"], perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "pyramid",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [
            helper.make_tensor_value_info("places", TensorProto.FLOAT, [1, 320, 4]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 16, 16, 8]),
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    """Pictures of a few waves."""
    random, steps = np.random.default_rng(1), np.linspace(0, np.pi, 32)
    phases, waves = random.uniform(0, 6, (16, 3, 2, 1)), random.uniform(1, 8, (16, 3, 2, 1))
    rows, columns = np.moveaxis(np.sin(waves * steps + phases), 2, 0)
    return (rows[..., :, None] * columns[..., None, :] * 2).astype(np.float32)


def in_rows(places: Any, features: Any) -> NDArray[np.float32]:
    return np.concatenate([np.asarray(places).reshape(1, -1), np.asarray(features).reshape(1, -1)], 1)


def test_shared_filters_are_found_and_keep_their_function(images: NDArray[np.float32]) -> None:
    graph = Graph(pyramid_model())
    assert graph.outputs == ("places", "features")
    assert sorted(graph.shared) == sorted(HEADS)
    equal, _ = prepare(graph, QDQRecipe("q", **few), images)
    assert relative(SimulatedNetwork(equal).run(images), SimulatedNetwork(graph).run(images)) < 1e-5
    for name in ("head", "last"):
        assert np.array_equal(equal.constants[name], graph.constants[name])
    assert not np.array_equal(equal.constants["fpn0"], graph.constants["fpn0"])


@pytest.mark.parametrize("in_float", [True, False])
@pytest.mark.parametrize("kind", [QDQRecipe, KernelRecipe])
def test_what_runtimes_compute_is_what_was_simulated(
    kind: type[Recipe], in_float: bool, images: NDArray[np.float32]
) -> None:
    recipe = kind("q", float_shared=in_float, **few)
    graph = Graph(pyramid_model())
    network = quantize_on(graph, images[:8], recipe, lambda what: None)
    network = _unpack(recipe, _pack(network))
    simulated = network.run(images[8:9])
    assert relative(simulated, SimulatedNetwork(graph).run(images[8:9])) < 0.1
    assert {name in network.placement.float_weights for name in HEADS} == {in_float}
    for filters in (("head0", "head1"), ("last0", "last1")):
        first, second = (network.layers[name] for name in filters)
        assert first.weight.equal(second.weight)
        assert not first.bias.equal(second.bias)
    if kind is QDQRecipe:
        session = ort.InferenceSession(write_qdq(network).SerializeToString(), providers=["CPUExecutionProvider"])
        found = in_rows(*session.run(["places", "features"], {"image": images[8:9]}))
    else:
        content = write_int8(network, CARD.with_layout("nhwc"), unchanged=("features",))
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        outputs = interpreter.get_signature_runner()(image=images[8:9].transpose(0, 2, 3, 1).copy())
        found = in_rows(outputs["places"], outputs["features"])
    assert relative(found, simulated) < 0.02
