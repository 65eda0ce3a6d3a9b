"""Bundles, plans and sidecars, with the real TensorRT-RTX builder and a small network.

There is no GPU here: nothing is deserialized, and what needs one is shown to say so.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgehr.converters.tensorrt.graph import fold_integer_biases
from edgehr.errors import ArtifactError, EdgehrError, MissingDependencyError
from edgehr.runtimes import Artifact, load
from edgehr.runtimes.formats import describe
from edgehr.runtimes.tensorrt.build import build_plan
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.cuda import Gpu, find_gpu
from edgehr.runtimes.tensorrt.engine import layer_precisions
from edgehr.runtimes.tensorrt.library import Library, choose_library, import_library
from edgehr.runtimes.tensorrt.make import MadePlan, make_plan
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.runtimes.tensorrt.sidecar import (
    Sidecar,
    check_gpu,
    check_library,
    read_plan,
    read_sidecar,
    sidecar_path,
)
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


@pytest.fixture
def made(rtx: Library, tmp_path: Path) -> MadePlan:
    return make_plan(bundle(), tmp_path / "small.plan", rtx, None)


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = bundle(max_batch=4, compute_capabilities=("8.9",))
    written.write(tmp_path / "a.trtbundle")
    assert Bundle.read(tmp_path / "a.trtbundle") == written
    first = (tmp_path / "a.trtbundle").read_bytes()
    written.write(tmp_path / "a.trtbundle")
    assert (tmp_path / "a.trtbundle").read_bytes() == first


def test_a_bundle_is_described(tmp_path: Path) -> None:
    bundle().write(tmp_path / "a.trtbundle")
    about = describe(tmp_path / "a.trtbundle")
    assert about["onnx_sha256"] == bundle().onnx_sha256
    assert about["artifact"]["card"]["name"] == ARTIFACT.card.name


def test_damaged_bundles_give_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.trtbundle"
    bundle().write(path)
    whole = path.read_bytes()
    for content in (whole[:200], b"", b"hello", whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"a\.trtbundle: not a TensorRT bundle") as caught:
            Bundle.read(path)
        assert "\n" not in str(caught.value)
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            read = Bundle.read(path)
        except ArtifactError:
            continue
        assert read == bundle()  # a byte that nobody reads, a date for example
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bundle.json", zipfile.Path(_written(tmp_path), "bundle.json").read_text())
        archive.writestr("model.onnx", b"another graph")
    with pytest.raises(ArtifactError, match="not the one it was written with"):
        Bundle.read(path)
    with pytest.raises(ArtifactError, match="no such bundle"):
        Bundle.read(tmp_path / "absent.trtbundle")


def _written(folder: Path) -> Path:
    bundle().write(folder / "b.trtbundle")
    return folder / "b.trtbundle"


def test_a_plan_has_its_sidecar(made: MadePlan, rtx: Library) -> None:
    sidecar = read_sidecar(made.path)
    assert sidecar == made.sidecar
    read_plan(made.path, sidecar)
    assert (sidecar.library, sidecar.version) == ("tensorrt_rtx", rtx.version)
    assert sidecar.precisions == {"fp32": 1}
    assert sidecar.precision_source == "parsed network"
    assert (sidecar.gpu_name, sidecar.compute_capability) == ("", "")
    assert sidecar.artifact == ARTIFACT
    assert sidecar.inputs == {"image": [1, 3, 8, 8]}
    assert sidecar.onnx_sha256 == bundle().onnx_sha256


@pytest.mark.parametrize("change", ["alter", "truncate", "replace"])
def test_a_plan_that_is_not_the_sidecar_s_is_refused(change: str, made: MadePlan) -> None:
    data = bytearray(made.path.read_bytes())
    if change == "alter":
        data[len(data) // 2] ^= 1
    made.path.write_bytes({"alter": data, "truncate": data[:-100], "replace": b"another plan"}[change])
    with pytest.raises(ArtifactError, match=r"small\.plan: has .*its sidecar says .*: (altered|truncated)"):
        load(made.path)


def test_a_sidecar_that_is_missing_damaged_or_altered_is_refused(made: MadePlan) -> None:
    path = sidecar_path(made.path)
    whole = path.read_text()
    changed = json.loads(whole)
    changed["version"] = "9.9.9"
    for content, message in (
        (json.dumps(changed), "altered: its own hash does not fit"),
        (whole[: len(whole) // 2], "not a sidecar"),
        ("[]", "not a sidecar"),
        ("", "not a sidecar"),
    ):
        path.write_text(content)
        with pytest.raises(ArtifactError, match=message) as caught:
            load(made.path)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"not loaded without its sidecar small\.plan\.json: it is not there"):
        load(made.path)


def test_sidecars_of_the_first_schema_are_read(made: MadePlan) -> None:
    data = {**json.loads(made.sidecar.to_json()), "schema": 1}
    data["flavor"] = data.pop("library")
    del data["sidecar_sha256"]
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert Sidecar.from_json(json.dumps({**data, "sidecar_sha256": digest})) == made.sidecar


def test_nothing_is_deserialized_where_a_check_fails(
    made: MadePlan, rtx: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("was deserialized")

    monkeypatch.setattr("edgehr.runtimes.tensorrt.runtime.open_engine", refuse)
    made.path.write_bytes(made.path.read_bytes()[:-1])
    with pytest.raises(ArtifactError):
        load(made.path)


def test_a_plan_of_another_library_is_refused_naming_both(made: MadePlan) -> None:
    check = partial_check(made)
    check("tensorrt_rtx", made.sidecar.version)
    with pytest.raises(ArtifactError, match=rf"by tensorrt_rtx {made.sidecar.version}, here is tensorrt_rtx 1\.0\.0"):
        check("tensorrt_rtx", "1.0.0")
    with pytest.raises(ArtifactError, match=r"here is tensorrt 10\.3\.0"):
        check("tensorrt", "10.3.0")


def test_version_compatible_plans_run_on_later_versions_of_the_same_major(made: MadePlan) -> None:
    settings = replace(made.sidecar.settings, version_compatible=True)
    sidecar = replace(made.sidecar, library="tensorrt", version="10.3.0", settings=settings)
    check_library(made.path, sidecar, "tensorrt", "10.9.1")
    for here in ("10.2.0", "11.0.0"):
        with pytest.raises(ArtifactError, match=f"here is tensorrt {here}"):
            check_library(made.path, sidecar, "tensorrt", here)


def partial_check(made: MadePlan) -> Callable[[str, str], None]:
    return lambda library, version: check_library(made.path, made.sidecar, library, version)


def test_a_plan_for_another_gpu_is_refused_naming_both(made: MadePlan) -> None:
    def sidecar(**changes: Any) -> Sidecar:
        return replace(made.sidecar, library="tensorrt", gpu_name="Orin", compute_capability="8.7", **changes)

    check_gpu(made.path, sidecar(), Gpu("Orin", "8.7"))
    with pytest.raises(ArtifactError, match=r"on Orin \(compute capability 8\.7\), here is Some Ada .*8\.9"):
        check_gpu(made.path, sidecar(), ADA)
    compatible = replace(made.sidecar.settings, hardware_compatible=True)
    check_gpu(made.path, sidecar(settings=compatible), ADA)
    with pytest.raises(ArtifactError, match="here is Old"):
        check_gpu(made.path, sidecar(settings=compatible), Gpu("Old", "7.5"))


def test_rtx_plans_run_on_their_targets(made: MadePlan) -> None:
    check_gpu(made.path, made.sidecar, ADA)
    with pytest.raises(ArtifactError, match=r"compute capabilities 8\.0 and later, here is Old"):
        check_gpu(made.path, made.sidecar, Gpu("Old", "7.5"))
    narrow = replace(made.sidecar, settings=BuildSettings(compute_capabilities=("12.0",)))
    with pytest.raises(ArtifactError, match=r"compute capabilities 12\.0, here is Some Ada"):
        check_gpu(made.path, narrow, ADA)


@pytest.mark.skipif(find_gpu().gpu is not None, reason="there is a GPU here")
def test_without_a_gpu_the_runtime_says_what_is_missing(made: MadePlan) -> None:
    with pytest.raises(EdgehrError, match=r"cannot run a plan here: .*driver.*edgehr doctor"):
        load(made.path)


def test_a_plan_is_described_without_a_gpu(made: MadePlan) -> None:
    about = describe(made.path)
    assert about["backend"].startswith("tensorrt_rtx 1.")
    assert about["inputs"] == [{"name": "image", "shape": [1, 3, 8, 8], "dtype": "float32"}]
    json.dumps(about, allow_nan=False)


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
