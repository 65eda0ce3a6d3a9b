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

import pytest

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.runtimes import Artifact, load
from edgehr.runtimes.formats import describe
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.cuda import Gpu, find_gpu
from edgehr.runtimes.tensorrt.library import Library, import_library
from edgehr.runtimes.tensorrt.make import MadePlan, make_plan, make_plans
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
from tests.runtimes.small_models import conv_model

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


def test_plans_of_several_graphs_are_written_when_all_are_built(rtx: Library, tmp_path: Path) -> None:
    whole, path = {"head": bundle(), "": bundle()}, tmp_path / "a.plan"
    make_plans(whole, path, rtx, None)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(before) == 4
    with pytest.raises(EdgehrError):
        make_plans({**whole, "": replace(bundle(), onnx=b"damaged")}, path, rtx, None)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


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
    description = zipfile.Path(_written(tmp_path), "bundle.json").read_text()
    for text, message in (
        (description, "not the one it was written with"),
        (description.replace("onnx_sha256", "onnx_sha"), "not a TensorRT bundle"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bundle.json", text)
            archive.writestr("model.onnx", b"another graph")
        with pytest.raises(ArtifactError, match=message):
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
