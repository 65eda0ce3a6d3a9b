"""Repositories of models, as they are written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.cli.main import main
from edgehr.errors import EdgehrError
from edgehr.files import atomic_folder, sha256_file
from edgehr.runtimes import Artifact, load
from edgehr.runtimes.artifact import Part
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.runtimes.tensorrt.sidecar import Sidecar, sidecar_path
from edgehr.runtimes.tensors import TensorSpec
from edgehr.serving import repository
from edgehr.serving.measure import Arrangement, _least, arrange
from edgehr.serving.plan import Servable, plan
from edgehr.serving.repository import ServingSettings, add, versions
from edgehr.serving.triton import configuration
from tests.runtimes.test_runtimes import ARTIFACT, CARD, write
from tests.serving.servers import need_servers, triton


def export(*arguments: object) -> int:
    return main(["export-repository", *map(str, arguments)])


@pytest.mark.parametrize(
    ("server", "kind", "files"),
    [
        ("triton", ".onnx", {"model.onnx"}),
        ("triton", ".xml", {"model.xml", "model.bin"}),
        ("ovms", ".xml", {"model.xml", "model.bin"}),
        ("ovms", ".onnx", {"model.onnx"}),
        ("kserve", ".tflite", {"model.tflite"}),
        ("kserve", ".xml", {"model.xml", "model.bin"}),
    ],
)
def test_versions_hold_the_model_and_its_description(
    server: str, kind: str, files: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, kind)
    for version in (1, 2):
        assert (
            export(path, "--out", tmp_path / "out", "--for", server, "--name", "small", "--seconds", 0, "--json") == 0
        )
        (told,) = json.loads(capsys.readouterr().out)["models"]
        assert (told["name"], told["version"]) == ("small", version)
        folder = tmp_path / "out" / "small" / str(version)
        assert {file.name for file in folder.iterdir()} == files | {"edgehr.json", "serving.json"}
        assert all(Path(file).is_file() for file in told["files"])
        main_file = folder / ServingSettings.read(folder).file
        assert sha256_file(main_file) == sha256_file(path)
        with load(main_file) as runtime:
            assert runtime.artifact == ARTIFACT == Artifact.from_json((folder / "edgehr.json").read_text())
    assert not list(tmp_path.rglob(".edgehr-unfinished-*"))


def test_the_configuration_of_triton(tmp_path: Path) -> None:
    for batch, expected in (
        (1, ["max_batch_size: 0", "dims: [ 1, 3, 8, 8 ]"]),
        ("batch", ["max_batch_size: 16", "dims: [ 3, 8, 8 ]", "dynamic_batching { preferred_batch_size: [ 16 ] }"]),
    ):
        served = plan(write(tmp_path, ".onnx", batch), "triton", "small")
        text = configuration(served, Arrangement(2, 1, 16, ("2 at once: 9 images a second",)), {"1": ARTIFACT})
        for line in (*expected, 'backend: "onnxruntime"', "kind: KIND_CPU count: 2", "# 2 at once: 9 images a second"):
            assert line in text
        assert "TYPE_FP32" in text
        assert 'key: "intra_op_thread_count" value: { string_value: "1" }' in text
    assert "KIND_GPU" in configuration(served, Arrangement(), {"1": ARTIFACT}, gpu=True)
    for name, dtype in (("TYPE_FP16", "f2"), ("TYPE_UINT8", "u1"), ("TYPE_INT64", "i8"), ("TYPE_BOOL", "?")):
        spec = TensorSpec("x", (None, 2), np.dtype(dtype))
        other = Servable(**{**vars(served), "inputs": (spec,)})
        assert f"data_type: {name} dims: [ 2 ]" in configuration(other, Arrangement(), {"1": ARTIFACT})


def test_plans_go_to_a_gpu_with_the_batches_that_they_were_built_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.plan"
    path.write_bytes(b"native code")
    shapes = {"image": [[1, 3, 8, 8], [2, 3, 8, 8], [4, 3, 8, 8]]}
    about = {"gpu_name": "GPU", "compute_capability": "8.9", "precisions": {}, "precision_source": "engine inspector"}
    sidecar = Sidecar(
        plan_sha256=sha256_file(path),
        plan_bytes=path.stat().st_size,
        onnx_sha256="ab" * 32,
        library="tensorrt",
        version="10.3.0",
        inputs={"image": [-1, 3, 8, 8]},
        outputs={"y": [-1, 3, 8, 8]},
        settings=BuildSettings(),
        artifact=ARTIFACT,
        profiles=shapes,
        **about,
    )
    sidecar_path(path).write_text(sidecar.to_json())
    out = tmp_path / "out"
    assert export(path, "--out", out, "--for", "triton", "--batch", 4) == 0
    assert {"model.plan", "edgehr.json"} <= {file.name for file in (out / "model" / "1").iterdir()}
    text = (out / "model" / "config.pbtxt").read_text()
    for line in ('backend: "tensorrt"', "max_batch_size: 4", "kind: KIND_GPU", "preferred_batch_size: [ 4 ]"):
        assert line in text
    assert export(path, "--out", out, "--for", "triton", "--batch", 5) == 1
    assert "takes batches of 4 at most" in capsys.readouterr().err
    sidecar_path(path).write_text(replace(sidecar, library="tensorrt_rtx").to_json())
    assert export(path, "--out", out, "--for", "triton") == 1
    assert "is a plan of TensorRT-RTX" in capsys.readouterr().err
    path.write_bytes(b"other code!")
    sidecar_path(path).write_text(sidecar.to_json())
    assert export(path, "--out", out, "--for", "triton") == 1


def test_the_configuration_of_openvino_model_server_keeps_other_models(tmp_path: Path) -> None:
    file = tmp_path / "out" / "config.json"
    file.parent.mkdir()
    other = {"config": {"name": "other", "base_path": "/models/other"}}
    file.write_text(json.dumps({"model_config_list": [other], "monitoring": {}}))
    for _ in range(2):
        add(tmp_path / "out", served := plan(write(tmp_path, ".xml"), "ovms"), 1 + _, Arrangement(2, 1))
    data = json.loads(file.read_text())
    assert data["monitoring"] == {}
    assert data["model_config_list"][0] == other
    assert [each["config"]["name"] for each in data["model_config_list"]] == ["other", served.name]
    assert data["model_config_list"][1]["config"]["nireq"] == 2
    file.write_text("[]")
    with pytest.raises(EdgehrError, match="no list of models"):
        add(tmp_path / "out", served, 3, Arrangement())
    assert versions(tmp_path / "out" / served.name) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (".tflite", ["--for", "triton"], "triton cannot serve it: it takes onnx, openvino, tensorrt; --python lets"),
        (".tflite", ["--for", "ovms"], "ovms cannot serve it: it takes onnx, openvino"),
        (".onnx", ["--for", "ovms", "--python"], "--python is a form for Triton"),
        (".onnx", ["--for", "triton", "--name", "a/b"], "is no name for a model"),
        (".onnx", ["--for", "triton", "--batch", "4"], "takes a fixed batch"),
        (".onnx", ["--for", "ovms", "--batch", "4"], "--batch is for Triton"),
        (".onnx", ["--for", "kserve", "--gpu"], "--gpu is for Triton and OpenVINO Model Server"),
        (".onnx", ["--for", "triton", "--version", "1"], "is there already, and versions are never overwritten"),
    ],
)
def test_what_a_server_cannot_serve(
    kind: str, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "model" / "1").mkdir(parents=True)
    (tmp_path / "out" / "model" / "1" / "keep").touch()
    if "--batch" in options or "--gpu" in options:
        options = [*options, "--name", "other"]
    assert export(write(tmp_path, kind), "--out", tmp_path / "out", *options) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert {file.name for file in (tmp_path / "out").rglob("*")} == {"model", "1", "keep"}


def test_other_models_under_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", tmp_path / "out", "--for", "triton", "--seconds", 0]
    path = write(tmp_path, ".onnx")
    assert export(path, *out) == 0
    assert export(write(tmp_path, ".onnx", "batch"), *out) == 1
    assert "takes or returns other tensors" in capsys.readouterr().err
    assert export(path, shutil.copy(path, tmp_path / "out"), *out) == 1
    assert "another model here has the name model too" in capsys.readouterr().err
    assert export(path, "--out", tmp_path / "out", "--for", "ovms", "--name", "other") == 1
    assert "is a repository for triton: choose another --out" in capsys.readouterr().err
    (tmp_path / "out" / "strange").mkdir()
    (tmp_path / "out" / "strange" / "file").touch()
    assert export(path, *out, "--name", "strange") == 1
    assert "holds something else than versions" in capsys.readouterr().err
    assert export("grpc://127.0.0.1:1/pose", *out) == 1
    assert "is served already: give a file" in capsys.readouterr().err


def test_models_of_several_graphs_and_foreign_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgehr.serving import plan as planning

    parts = Artifact(CARD, "fp32", "ab" * 32, parts={"head": Part("head.onnx", "cd" * 32)})
    monkeypatch.setattr(planning, "_read", lambda *_: (parts, (), (), None))
    with pytest.raises(EdgehrError, match="several graphs with work between them"):
        plan(write(tmp_path, ".onnx"), "triton")
    monkeypatch.undo()
    import onnx

    from tests.runtimes.test_runtimes import small_model

    onnx.save(small_model(1), tmp_path / "foreign.onnx")
    with pytest.raises(EdgehrError, match="was not converted by edgehr"):
        plan(tmp_path / "foreign.onnx", "triton")


def test_a_version_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = plan(write(tmp_path, ".xml"), "triton")
    out = tmp_path / "out"
    add(out, served, 1, Arrangement())
    before = (out / "model" / "config.pbtxt").read_text()

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(repository.shutil, "copyfile", fails)
        with pytest.raises(OSError, match="No space"):
            add(out, served, 2, Arrangement())
    assert (versions(out / "model"), (out / "model" / "config.pbtxt").read_text()) == ([1], before)
    kill = "import os, signal, sys\nfrom pathlib import Path\nfrom edgehr.files import atomic_folder\n"
    kill += "with atomic_folder(Path(sys.argv[1])) as folder:\n    (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", kill, str(out / "model" / "2")], check=False)
    assert versions(out / "model") == [1]
    with pytest.raises(EdgehrError, match="cannot be made"), atomic_folder(out / "model" / "2"):
        shutil.copytree(out / "model" / "1", out / "model" / "2")  # by another process, meanwhile
    assert (out / "model" / "2" / "model.xml").is_file()


@pytest.mark.slow
def test_an_arrangement_is_measured(sample_onnx: Path) -> None:
    found = arrange(sample_onnx, 0.1, batches=True)
    assert found.instances in (1, 2, 4, 8, len(os.sched_getaffinity(0)))
    assert found.threads == (1 if found.instances > 1 else None)
    assert found.batch in (1, 2, 4, 8)
    assert any(line.startswith("batch 8: ") for line in found.measured)


def test_more_copies_have_to_pay() -> None:
    assert _least({1: 10, 2: 10.2, 4: 10.1}) == 1
    assert _least({1: 10, 2: 15, 4: 15.3}) == 2
    assert _least({1: 10, 2: 15, 4: 30}) == 4


@pytest.mark.slow
def test_a_backend_that_numpy_has_outgrown_refuses(tmp_path: Path) -> None:
    """Triton from the wheel, with this environment's NumPy 2: its answers would be empty."""
    need_servers()
    assert np.lib.NumpyVersion(np.__version__) >= "2.0.0"
    add(tmp_path / "models", plan(write(tmp_path, ".onnx"), "triton", python=True), 1, Arrangement())
    for kind, batch in ((".onnx", "batch"), (".xml", 1)):
        add(
            tmp_path / "models", plan(write(tmp_path, kind, batch), "triton", f"native{batch}"), 1, Arrangement(2, 1, 4)
        )
    server = triton(tmp_path / "models", tmp_path)
    server.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with pytest.raises(AssertionError, match="does not come up"):
        server.start()
    log = server.log.read_text()
    assert "built for NumPy 1: with NumPy 2" in log
    # It understands what is written for the backends that it lacks.
    for backend in ("onnxruntime", "openvino"):
        assert f"unable to find backend library for backend '{backend}'" in log
    assert "parse" not in log
