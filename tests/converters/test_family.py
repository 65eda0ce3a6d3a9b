"""Networks with other heads than pose's, in float and INT8: what is simulated, ONNX Runtime and LiteRT compute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

import edgehr
from edgehr.assets import photographs
from edgehr.calib.quantize import quantize_on
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.passes import equalization
from edgehr.calib.recipes import RECIPES
from edgehr.converters.compare import comparison_batch
from edgehr.converters.convert import convert
from edgehr.converters.onnx.float16 import to_fp16
from edgehr.converters.onnx.qdq_writer import write_qdq
from edgehr.converters.tensorrt.graph import fold_integer_biases
from edgehr.converters.tflite.writer import write_float, write_int8
from edgehr.errors import EdgehrError
from edgehr.models.architectures.networks import hrnet_classifier, hrnet_ocr, hrnetv2
from edgehr.models.heads import classification, ocr
from edgehr.models.heads.labels import ToLabels
from edgehr.models.network import Network
from edgehr.runtimes.tensorrt.build import build_plan
from edgehr.runtimes.tensorrt.library import Library, import_library
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.tasks.image.reading import read_image
from edgehr.tasks.segmentation.spec import with_labels, with_probabilities
from edgehr.zoo import DEFAULT_SEGMENTER, find_weights, get_card
from tests.calib.quantizer.small_graph import run_onnx
from tests.made_once import KeptExports

pytestmark = pytest.mark.slow

CARD = replace(get_card("hrnet-w32-coco-256x192").with_size(64, 64), name="small-64x64")
NETWORKS = {
    "hrnet_classifier": lambda: hrnet_classifier(10, width=4, depth="small_v1"),
    "hrnetv2": lambda: hrnetv2(5, width=4, depth="small_v1", upsampling="bilinear", padding="same"),
    "hrnet_ocr": lambda: hrnet_ocr(5, width=4, depth="small_v1", align_corners=True),
}


def random_network(name: str) -> Network:
    """A network whose statistics are not all alike; the wide layers of its head are narrow here."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification, "WIDTHS", (4, 8, 16, 32))
        patch.setattr(classification, "FEATURES", 64)
        patch.setattr(ocr, "CHANNELS", 32)
        patch.setattr(ocr, "KEY_CHANNELS", 16)
        network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.3)
    return network.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equalization, "STEPS", 20)  # of 250: what is tested here is the way, not its end


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return comparison_batch(CARD)[:8]


@pytest.fixture(scope="module", params=NETWORKS)
def model(request: pytest.FixtureRequest, kept_exports: KeptExports) -> tuple[str, Network, Graph]:
    network = random_network(request.param)
    exported, failure = kept_exports.simplified(network, CARD, 1)
    assert not failure
    return request.param, network, Graph(exported)


def run_tflite(content: bytes, images: np.ndarray) -> np.ndarray:
    """Run a file that takes and returns channels first."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    result: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def largest(difference: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(difference).max() / np.abs(reference).max())


def test_float_graphs_and_files_compute_the_network(model: tuple[str, Network, Graph], images: np.ndarray) -> None:
    _, network, graph = model
    expected = network(torch.from_numpy(images[:2])).numpy()
    for found in (
        np.concatenate([run_onnx(graph.model, image[None]) for image in images[:2]]),
        np.concatenate([run_tflite(write_float(graph, CARD), image[None]) for image in images[:2]]),
    ):
        assert largest(found - expected, expected) < 2e-5


@pytest.mark.parametrize("kind", ["unsigned", "kernels"])
def test_int8_is_what_was_simulated(kind: str, model: tuple[str, Network, Graph], images: np.ndarray) -> None:
    name, network, graph = model
    recipe = RECIPES[name, ""][kind]
    quantized = quantize_on(graph, images, recipe, lambda what: None)
    expected = network(torch.from_numpy(images[:2])).numpy()
    simulated = quantized.run(images[:2])
    assert np.corrcoef(simulated.ravel(), expected.ravel())[0, 1] > 0.98
    total = sum(graph.multiply_adds(each) for each in graph.convolutions)
    assert quantized.placement.int8_multiply_adds(quantized.graph) > 0.5 * total
    if kind == "kernels":
        found = np.concatenate([run_tflite(write_int8(quantized, CARD), image[None]) for image in images[:2]])
    else:
        found = np.concatenate([run_onnx(write_qdq(quantized), image[None]) for image in images[:2]])
    # A value that falls between two integers may be rounded to either.
    assert np.abs(found - simulated).mean() < 0.02 * simulated.std()


@pytest.fixture(scope="module")
def rtx() -> Library:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (no build for this platform)")
    return import_library("tensorrt_rtx")


def built(model: Any, rtx: Library) -> dict[str, int]:
    """How many convolutions and matrix products TensorRT takes in which precision."""
    return build_plan(model.SerializeToString(), rtx, BuildSettings()).precisions


def test_tensorrt_builds_them_in_every_precision(
    model: tuple[str, Network, Graph], images: np.ndarray, rtx: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equalization, "STEPS", 5)
    name, _, graph = model
    count = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in graph.model.graph.node)
    assert built(graph.model, rtx) == {"fp32": count}
    half, kept = to_fp16(graph.model, [{"image": images[:2]}])
    assert not kept
    assert built(half, rtx) == {"fp16": count}
    quantized = write_qdq(quantize_on(graph, images[:4], RECIPES[name, ""]["symmetric"], lambda what: None))
    fold_integer_biases(quantized)
    precisions = built(quantized, rtx)
    assert precisions["int8"] > 0.9 * len(graph.convolutions)
    assert sum(precisions.values()) == count


@pytest.fixture(scope="module")
def labeling(kept_exports: KeptExports) -> tuple[Network, Graph]:
    """A network that returns the number of each pixel's class."""
    network = random_network("hrnetv2")
    labels = Network(network.backbone, network.head, ToLabels())
    return labels, Graph(kept_exports.simplified(labels, CARD, 1)[0])


def test_tensorrt_builds_networks_that_return_labels(
    labeling: tuple[Network, Graph], images: np.ndarray, rtx: Library
) -> None:
    _, graph = labeling
    count = len(graph.convolutions)
    assert built(graph.model, rtx) == {"fp32": count}
    assert built(to_fp16(graph.model, [{"image": images[:2]}])[0], rtx) == {"fp16": count}


def test_labels_are_made_in_the_graph(labeling: tuple[Network, Graph], images: np.ndarray) -> None:
    labels, graph = labeling
    assert [operator.kind for operator in graph.tail] == ["Resize", "ArgMax", "Cast"]
    expected = labels(torch.from_numpy(images[:1])).numpy()
    assert expected.shape == (1, 64, 64)
    assert expected.dtype == np.uint8
    assert len(np.unique(expected)) > 1
    for found in (run_onnx(graph.model, images[:1]), run_tflite(write_float(graph, CARD), images[:1])):
        assert found.dtype == np.uint8
        assert (found == expected).mean() > 0.999
    for kind in ("unsigned", "kernels"):
        found = run_int8(graph, kind, images)
        assert (found == expected).mean() > 0.95


def test_the_segmenter_that_ships_returns_labels(kept_exports: KeptExports, tmp_path: Path) -> None:
    card = with_labels(get_card(DEFAULT_SEGMENTER))
    report = convert(card, find_weights(card), "onnx", out=tmp_path / "labels.onnx")
    assert report.difference.same == 1.0  # type: ignore[attr-defined]
    with edgehr.load(report.path) as runtime:
        (output,) = runtime.outputs
        assert (output.name, output.dtype, output.shape[1:]) == ("labels", np.uint8, (192, 192))
        found = edgehr.predictor(runtime)(read_image(photographs()[0]))
        assert found.mask("person").any()


def run_int8(graph: Graph, kind: str, images: np.ndarray) -> np.ndarray:
    """Return what the graph gives for the first image, quantized by a kind of recipe, on the runtime that it is for."""
    quantized = quantize_on(graph, images, RECIPES["hrnetv2", ""][kind], lambda what: None)
    if kind == "unsigned":
        return run_onnx(write_qdq(quantized), images[:1])
    return run_tflite(write_int8(quantized, CARD), images[:1])


def test_probabilities_are_made_in_the_graph(kept_exports: KeptExports, images: np.ndarray) -> None:
    network = random_network("hrnetv2")
    likely = Network(network.backbone, network.head, torch.nn.Softmax(dim=1))
    graph = Graph(kept_exports.simplified(likely, CARD, 1)[0])
    assert [operator.kind for operator in graph.tail] == ["Softmax"]
    expected = network(torch.from_numpy(images[:1])).softmax(dim=1).numpy()
    for found in (run_onnx(graph.model, images[:1]), run_tflite(write_float(graph, CARD), images[:1])):
        assert np.abs(found - expected).max() < 1e-5
    for kind in ("unsigned", "kernels"):
        found = run_int8(graph, kind, images)
        assert np.abs(found.sum(axis=1) - 1).max() < 1e-5
        assert np.abs(found - expected).mean() < 0.01


@pytest.mark.parametrize(("target", "suffix"), [("openvino", ".xml"), ("tflite", ".tflite")])
def test_the_segmenter_that_ships_returns_probabilities(target: str, suffix: str, tmp_path: Path) -> None:
    card = with_probabilities(get_card(DEFAULT_SEGMENTER))
    report = convert(card, find_weights(card), target, out=tmp_path / f"likely{suffix}")
    with edgehr.load(report.path) as runtime:
        assert runtime.outputs[0].name == "probabilities"
        found = edgehr.predictor(runtime)(read_image(photographs()[0]))
    with edgehr.Segmenter() as segmenter:
        expected = segmenter(read_image(photographs()[0]))
    assert (found.mask("person") == expected.mask("person")).mean() > 0.99
    assert np.abs(found.probability("person") - expected.probability("person")).mean() < 0.02


def test_labels_and_probabilities_are_for_segmentation() -> None:
    for wanted in (with_labels, with_probabilities):
        with pytest.raises(EdgehrError, match="is no segmentation model"):
            wanted(CARD)
    with pytest.raises(EdgehrError, match="returns labels already"):
        with_probabilities(with_labels(get_card(DEFAULT_SEGMENTER)))
