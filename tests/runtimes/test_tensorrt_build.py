"""Building plans with the real TensorRT-RTX, which needs no GPU for it, and a small network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgehr.converters.tensorrt.graph import fold_integer_biases
from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.runtimes import Artifact
from edgehr.runtimes.tensorrt.build import build_plan
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.cuda import Gpu
from edgehr.runtimes.tensorrt.engine import layer_precisions
from edgehr.runtimes.tensorrt.library import Library, choose_library, import_library
from edgehr.runtimes.tensorrt.make import make_plan
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.zoo import get_card
from tests.runtimes.small_models import conv_model, unknown_operator_model

CARD = get_card("litehrnet-18-coco-256x192")
ARTIFACT = Artifact(CARD, "fp32", "ab" * 32, {"edgehr": "test"}, "cd" * 32, ("a+/" * 16,))
ADA = Gpu("Some Ada", "8.9")


@pytest.fixture(scope="module")
def rtx() -> Library:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (no build for this platform)")
    return import_library("tensorrt_rtx")


def bundle(**settings: Any) -> Bundle:
    batch = "batch" if settings else 1
    return Bundle(conv_model(batch).SerializeToString(), ARTIFACT, BuildSettings(**settings))


def test_dynamic_batch_has_a_profile(rtx: Library) -> None:
    plan = build_plan(bundle(max_batch=8, opt_batch=4).onnx, rtx, BuildSettings(1, 4, 8))
    assert plan.inputs == {"image": [-1, 3, 8, 8]}
    assert plan.profiles == {"image": [[1, 3, 8, 8], [4, 3, 8, 8], [8, 3, 8, 8]]}


def test_a_profile_needs_a_dynamic_batch(rtx: Library) -> None:
    fixed = Bundle(conv_model(1).SerializeToString(), ARTIFACT, BuildSettings(max_batch=4))
    with pytest.raises(EdgehrError, match="needs a model converted with --batch dynamic"):
        build_plan(fixed.onnx, rtx, fixed.settings)


def test_settings_reach_the_library_or_are_refused(rtx: Library) -> None:
    def build(**settings: Any) -> int:
        return len(build_plan(conv_model().SerializeToString(), rtx, BuildSettings(**settings)).data)

    assert build(workspace_mib=64, optimization_level=0) > 0
    assert build(compute_capabilities=("7.5",)) > 0
    assert build(compute_capabilities=("8.9", "12.0")) > 0
    for settings, message in (
        ({"compute_capabilities": ("8.7",)}, r"compute capability 8\.7: expected one of 7\.5, .*8\.9"),
        ({"version_compatible": True}, "no version-compatible plans"),
        ({"hardware_compatible": True}, "no hardware-compatible plans"),
        ({"dla_core": 0}, "no DLA"),
        ({"timing_cache": "a.cache"}, "no timing cache"),
    ):
        with pytest.raises(EdgehrError, match=message):
            build(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_batch": 0},
        {"opt_batch": 9},
        {"optimization_level": 6},
        {"workspace_mib": -1},
        {"compute_capabilities": ("ada",)},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(EdgehrError):
        BuildSettings(**settings)


def test_the_parser_s_errors_name_node_and_operator(rtx: Library) -> None:
    with pytest.raises(EdgehrError, match=r"node the_odd_one Sparkle: .*Convert it again") as caught:
        build_plan(unknown_operator_model().SerializeToString(), rtx, BuildSettings())
    assert "\n" not in str(caught.value)
    with pytest.raises(EdgehrError, match="cannot take this graph"):
        build_plan(b"no model", rtx, BuildSettings())


def test_half_precision_is_read_back(rtx: Library) -> None:
    plan = build_plan(conv_model(dtype=np.float16).SerializeToString(), rtx, BuildSettings())
    assert plan.precisions == {"fp16": 1}


def test_tensorrt_itself_builds_only_where_a_gpu_is(rtx: Library, tmp_path: Path) -> None:
    desktop = replace(rtx, name="tensorrt", version="10.3.0")
    with pytest.raises(EdgehrError, match=r"there is none here: build with tensorrt_rtx, or write a bundle"):
        make_plan(bundle(), tmp_path / "a.plan", desktop, None)
    assert list(tmp_path.iterdir()) == []


def test_libraries_that_are_not_there_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"JetPack.*edgehr\[tensorrt\]"):
        import_library("tensorrt")
    monkeypatch.setitem(__import__("sys").modules, "tensorrt_rtx", None)
    with pytest.raises(MissingDependencyError, match=r"edgehr\[tensorrt-rtx\]"):
        choose_library()


def test_the_engine_inspector_s_answer_is_counted() -> None:
    """Entries as TensorRT 10 writes them with detailed verbosity."""
    layers: list[Any] = [
        {
            "Name": "a",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
        },
        {"Name": "b", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Channel major FP16 format"}]},
        {"Name": "c", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Row major linear FP32"}]},
        {"Name": "d", "LayerType": "PointWiseV2", "Inputs": [{"Format/Datatype": "Row major linear FP32"}]},
        "only a name",
    ]
    assert layer_precisions(layers) == {"int8": 1, "fp16": 1, "fp32": 1}
    unknown = {"Name": "e", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Something new"}]}
    assert layer_precisions([*layers, unknown]) == {}


def test_dequantized_integer_biases_become_float() -> None:
    model = conv_model()
    scale = np.array([0.5, 0.25, 1.0, 2.0], np.float32)
    values = np.array([2, 4, -3, 1], np.int32)
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(values, "bias_q"),
            numpy_helper.from_array(scale, "bias_scale"),
            numpy_helper.from_array(np.zeros(4, np.int32), "bias_zero"),
        ]
    )
    dequantize = helper.make_node("DequantizeLinear", ["bias_q", "bias_scale", "bias_zero"], ["bias"], axis=0)
    model.graph.node.insert(0, dequantize)
    model.graph.node[1].input.append("bias")
    assert fold_integer_biases(model) == 1
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    assert set(constants) == {"weight", "bias"}
    assert constants["bias"].data_type == TensorProto.FLOAT
    np.testing.assert_array_equal(numpy_helper.to_array(constants["bias"]), values * scale)
