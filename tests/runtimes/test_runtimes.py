"""The Runtime contract, on every backend that runs here, with a small network."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgehr.converters.onnx.graph import embed
from edgehr.converters.openvino.ir import save_ir, to_ir
from edgehr.errors import ArtifactError, EdgehrError, TensorError
from edgehr.runtimes import Artifact, Runtime, TensorSpec, load
from edgehr.runtimes.tensors import Tensors
from edgehr.serving.measure import Arrangement
from edgehr.serving.plan import plan
from edgehr.serving.repository import add
from edgehr.zoo import get_card
from tests.runtimes.small_tflite import doubling
from tests.serving.servers import Server, triton

CARD = get_card("litehrnet-18-coco-256x192")
ARTIFACT = Artifact(CARD, "fp32", "ab" * 32, {"edgehr": "test"}, "cd" * 32, ("a+/" * 16, "b12=" * 12))


def small_model(batch: int | str) -> Any:
    """Doubles its input and adds one, on (batch, 3, 8, 8)."""
    nodes = [helper.make_node("Mul", ["image", "two"], ["doubled"]), helper.make_node("Add", ["doubled", "one"], ["y"])]
    constants = [
        helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 8, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3, 8, 8])
    graph = helper.make_graph(nodes, "small", [image], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write(folder: Path, kind: str, batch: int | str = 1) -> Path:
    model, artifact = small_model(batch), ARTIFACT
    path = folder / f"model{kind}"
    if kind == ".tflite":
        assert isinstance(batch, int)
        return doubling(path, batch, artifact)
    if kind == ".xml":
        save_ir(to_ir(model), path, artifact, fp16_weights=False)
    else:
        embed(model, artifact)
        onnx.save(model, path)
    return path


@pytest.mark.parametrize("name", ["caf\udce9", "café 日本", "new\nline", "-dash", "a:b", "%d", "x" * 240])
@pytest.mark.parametrize("kind", [".onnx", ".xml", ".tflite"])
def test_a_model_of_any_name_opens(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, kind)
    try:
        for file in tmp_path.iterdir():  # an .xml has a .bin
            file.rename(f"{name}{file.suffix}")
    except OSError:
        pytest.skip("this file system has no such names")
    with load(f"{name}{kind}") as runtime:
        image = np.ones(runtime.inputs[0].shape, np.float32)
        (found,) = runtime.infer({runtime.inputs[0].name: image}).values()
    np.testing.assert_array_equal(found, 3 * image)


@pytest.fixture(scope="module")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same models on a server: `one`, `four` and `any`, by their batch."""
    folder = tmp_path_factory.mktemp("triton")
    for name, batch in (("one", 1), ("four", 4), ("any", "batch")):
        served = plan(write(folder, ".onnx", batch), "triton", name, python=True)
        add(folder / "repository", served, 1, Arrangement())
    with triton(folder / "repository", folder).running() as server:
        yield server


@pytest.fixture(params=[".onnx", ".xml", ".tflite", "grpc", "http"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param.startswith("."):
        return write(tmp_path, request.param)
    return Path(request.getfixturevalue("triton_server").url(request.param, "one"))


def image(value: float = 3) -> np.ndarray:
    return np.full((1, 3, 8, 8), value, np.float32)


def test_names_shapes_and_the_artifact_are_read(path: Path) -> None:
    with load(path) as runtime:
        assert [str(spec) for spec in runtime.inputs] == ["image float32 (1, 3, 8, 8)"]
        assert [str(spec) for spec in runtime.outputs] == ["y float32 (1, 3, 8, 8)"]
        assert runtime.artifact == ARTIFACT
        assert runtime.precision == "fp32"
        assert runtime.device == "CPU" or runtime.backend == "remote"


def test_descriptions_of_models_that_were_not_calibrated_are_as_they_always_were() -> None:
    plain = Artifact(CARD, "fp32", "ab" * 32)
    assert "calibration_images" not in json.loads(plain.to_json())
    assert Artifact.from_json(plain.to_json()) == plain
    for wrong in ([1], 5, {"a": 1}, "text", None):
        data = {**json.loads(plain.to_json()), "calibration_images": wrong}
        with pytest.raises(ArtifactError, match="description is damaged"):
            Artifact.from_json(json.dumps(data))


def test_infers_now_and_later(path: Path) -> None:
    with load(path, threads=1) as runtime:
        assert (runtime.infer({"image": image()})["y"] == 7).all()
        futures = [runtime.infer_async({"image": image(value)}) for value in range(20)]
        for value, future in enumerate(futures):
            assert (future.result(timeout=20)["y"] == 2 * value + 1).all()


def test_results_belong_to_the_caller(path: Path) -> None:
    with load(path) as runtime:
        first = runtime.infer({"image": image(1)})["y"]
        runtime.infer({"image": image(100)})
        assert (first == 3).all()


def test_serves_several_threads(path: Path) -> None:
    with load(path) as runtime, ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)

        def work(number: int) -> bool:
            barrier.wait(timeout=20)
            return all(
                (runtime.infer({"image": image(number + i)})["y"] == 2 * (number + i) + 1).all() for i in range(50)
            )

        assert all(pool.map(work, range(8)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (image(), "expected a dict with inputs image, got ndarray"),
        ({}, "expected inputs image, got none"),
        ({"picture": image()}, "expected inputs image, got picture"),
        ({"image": image().astype(np.float64)}, r"expected image float32 \(1, 3, 8, 8\), got float64"),
        ({"image": image()[0]}, r"got float32 \(3, 8, 8\)"),
        ({"image": np.zeros((2, 3, 8, 8), np.float32)}, r"got float32 \(2, 3, 8, 8\)"),
        ({"image": [1, 2]}, "got list"),
    ],
)
def test_wrong_inputs_say_what_was_expected(path: Path, inputs: Any, message: str) -> None:
    with load(path) as runtime:
        for call in (runtime.infer, runtime.infer_async):
            with pytest.raises(TensorError, match=message):
                call(inputs)


def test_a_closed_runtime_refuses_and_closes_twice(path: Path) -> None:
    runtime = load(path)
    pending = runtime.infer_async({"image": image()})
    runtime.close()
    runtime.close()
    assert (pending.result(timeout=1)["y"] == 7).all()
    for call in (runtime.infer, runtime.infer_async):
        with pytest.raises(EdgehrError, match="closed"):
            call({"image": image()})


def test_closing_waits_for_callers_in_other_threads(path: Path) -> None:
    runtime = load(path)

    def work(_: int) -> int:
        for done in itertools.count():
            try:
                outputs = runtime.infer({"image": image()})
            except EdgehrError:  # closed
                return done
            assert (outputs["y"] == 7).all()
        raise AssertionError("never closed")

    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(work, number) for number in range(4)]
        time.sleep(0.2)
        runtime.close()
        assert all(count.result(timeout=20) > 0 for count in counts)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
@pytest.mark.parametrize("name", ["one", "four", "any"])
def test_batches_of_any_size_on_a_server(triton_server: Server, scheme: str, name: str) -> None:
    items = np.arange(11, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 8, 8), np.float32)
    with load(triton_server.url(scheme, name)) as runtime:
        assert runtime.inputs[0].shape[0] == {"one": 1, "four": 4, "any": None}[name]
        for count in (0, 1, 4, 7, 11):
            outputs = runtime.infer_batch(items[:count])
            np.testing.assert_array_equal(outputs["y"], 2 * items[:count] + 1)


@pytest.mark.parametrize(
    ("kind", "batch"),
    [(kind, batch) for kind in (".onnx", ".xml", ".tflite") for batch in (1, 4, "batch")][:-1],  # TFLite's is fixed
)
def test_batches_of_any_size(tmp_path: Path, kind: str, batch: int | str) -> None:
    items = np.arange(7, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 8, 8), np.float32)
    with load(write(tmp_path, kind, batch)) as runtime:
        assert runtime.inputs[0].shape[0] == (None if batch == "batch" else batch)
        for count in (0, 1, 4, 7):
            outputs = runtime.infer_batch(items[:count], limit=3)
            np.testing.assert_array_equal(outputs["y"], 2 * items[:count] + 1)


@pytest.mark.parametrize("count", [0, 1, 3, 8, 19])
def test_lots_stay_within_what_a_model_with_dynamic_batch_allows(count: int) -> None:
    seen: list[int] = []

    class Limited(Runtime):
        def _infer(self, inputs: Tensors) -> dict[str, Any]:
            seen.append(len(inputs["image"]))
            return {"y": 2 * inputs["image"]}

    spec = TensorSpec("image", (None, 2), np.dtype(np.float32))
    runtime = Limited([spec], [TensorSpec("y", (None, 2), spec.dtype)], batch_range=(2, 8))
    items = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    np.testing.assert_array_equal(runtime.infer_batch(items)["y"], 2 * items)
    assert all(2 <= size <= 8 for size in seen)


@pytest.mark.parametrize("kind", [".onnx", ".xml", ".tflite"])
def test_damaged_and_foreign_files_give_one_line(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"hello", b"\x00" * 1000, b"<xml/>"):
        path.write_bytes(content)
        with pytest.raises(ArtifactError) as caught:
            load(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such model file"):
        load(tmp_path / "absent.onnx")
    (tmp_path / "model.h5").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"expected \.onnx, \.xml"):
        load(tmp_path / "model.h5")
    (tmp_path / "model.trtbundle").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="a bundle does not run: build a plan"):
        load(tmp_path / "model.trtbundle")


def test_a_damaged_description_is_said(tmp_path: Path) -> None:
    model = small_model(1)
    entry = model.metadata_props.add()
    entry.key, entry.value = "edgehr", '{"schema":1,"card":{}}'
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="description"):
        load(tmp_path / "model.onnx")


def test_a_model_from_elsewhere_runs_without_a_card(tmp_path: Path) -> None:
    onnx.save(small_model(1), tmp_path / "model.onnx")
    with load(tmp_path / "model.onnx") as runtime:
        assert runtime.artifact is None
        assert (runtime.infer({"image": image()})["y"] == 7).all()


def test_unknown_devices_and_settings_are_refused(path: Path) -> None:
    with pytest.raises(EdgehrError, match=r"(?i)nonsense"):
        load(path, "nonsense")
    with pytest.raises(EdgehrError, match="threads"):
        load(path, threads=0)


def test_onnxruntime_refuses_a_precision(tmp_path: Path) -> None:
    with pytest.raises(EdgehrError, match="precision of the graph"):
        load(write(tmp_path, ".onnx"), precision="fp16")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals")
def test_a_signal_after_models_were_closed_is_handled(path: Path) -> None:
    script = (
        "import signal, sys, edgehr\n"
        "models = [edgehr.load(sys.argv[1]) for _ in range(3)]\n"
        "for model in models: model.close()\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
