"""What is particular to TFLite: damage, foreign files, integers at both ends, devices."""

from __future__ import annotations

import os
import random
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

from edgehr.converters.quiet import quiet
from edgehr.converters.tflite.metadata import embed
from edgehr.errors import ArtifactError, EdgehrError, MissingDependencyError
from edgehr.notices import warn_once
from edgehr.runtimes import Artifact, load, trial
from edgehr.runtimes.formats import describe
from edgehr.runtimes.tflite import runtime as runtime_module
from edgehr.runtimes.tflite.container import HASH_KEY, metadata_spans, read_artifact
from edgehr.runtimes.tflite.library import Library, import_library
from edgehr.runtimes.tflite.model import Quantization, open_model
from edgehr.runtimes.tflite.runtime import MAX_THREADS, TFLiteRuntime, _source_artifact
from edgehr.zoo import get_card
from tests.runtimes.small_tflite import IMAGE, Op, T, const, conv, doubling, int8, write

ARTIFACT = Artifact(get_card("litehrnet-18-coco-256x192"), "fp32", "ab" * 32, {"edgehr": "test"})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return doubling(tmp_path / "model.tflite", artifact=ARTIFACT)


def test_the_description_and_the_hash_are_read_back(model: Path) -> None:
    data = model.read_bytes()
    assert read_artifact(data, "it") == ARTIFACT
    assert len(data[slice(*vars(metadata_spans(data, "it")[HASH_KEY]).values())]) == 64


def test_any_changed_byte_is_found(model: Path) -> None:
    """Before the library sees the file: tflite-runtime 2.14 crashes on damaged ones."""
    whole = model.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        try:
            artifact = read_artifact(bytes(changed), "it")
        except ArtifactError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert artifact is None  # the entry's own name was hit: then it is a foreign file, and treated as one


def test_every_length_is_survived(model: Path) -> None:
    whole = model.read_bytes()
    for length in range(0, len(whole), 5):
        try:
            artifact = read_artifact(whole[:length], "it")
        except ArtifactError:
            continue
        assert artifact is None


def test_noise_is_survived() -> None:
    chance = random.Random(7)  # noqa: S311
    for _ in range(300):
        noise = bytearray(chance.randbytes(chance.randrange(8, 400)))
        noise[4:8] = b"TFL3"
        try:
            assert read_artifact(bytes(noise), "it") is None
        except ArtifactError:
            continue


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no process is kept to some cores here")
@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (3, 3), (64, MAX_THREADS)])
def test_there_are_no_more_threads_than_cores(
    cores: int, threads: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def record(*arguments: Any) -> Any:
        asked.append(arguments[-1])
        return open_model(*arguments)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(cores)))
    monkeypatch.setattr("edgehr.runtimes.tflite.runtime.open_model", record)
    load(model).close()
    assert asked == [threads]


def test_a_foreign_file_runs_after_a_trial_in_a_process_of_its_own(tmp_path: Path) -> None:
    with load(doubling(tmp_path / "foreign.tflite")) as runtime:
        assert runtime.artifact is None
        assert (runtime.infer({"image": np.full((1, 3, 8, 8), 3, np.float32)})["y"] == 7).all()


def test_a_file_without_a_signature_has_the_names_of_its_tensors(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.tflite", Op("RELU", [T()], [T()]))
    with load(path) as runtime:
        assert [spec.name for spec in (*runtime.inputs, *runtime.outputs)] == ["t0", "t1"]


def test_a_foreign_file_that_crashes_the_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = doubling(tmp_path / "foreign.tflite")
    monkeypatch.setattr(runtime_module, "TRIAL", "import os; os.abort()")
    with pytest.raises(ArtifactError, match=r"foreign\.tflite: cannot be loaded.*crashes litert .*signal 6"):
        load(path)
    monkeypatch.setattr(runtime_module, "TRIAL", "import time; time.sleep(60)")
    monkeypatch.setattr(trial, "TRIAL_SECONDS", 0.5)
    with pytest.raises(ArtifactError, match="does not finish"):
        load(path)


def test_a_signature_that_leads_nowhere_crashes_the_trial_alone(tmp_path: Path) -> None:
    """LiteRT runs such a file, and crashes where it is asked for the inputs of its signature."""
    path = doubling(tmp_path / "foreign.tflite")
    broken = flatbuffer_utils.read_model(str(path))
    broken.signatureDefs[0].inputs[0].tensorIndex = 10**6
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(broken)))
    with pytest.raises(ArtifactError, match=r"foreign\.tflite: cannot be loaded, truncated or foreign"):
        load(path)


def test_a_foreign_file_that_the_library_refuses_gives_its_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.tflite", Op("SPARKLE", [T()], [T()]))
    with pytest.raises(ArtifactError, match=r"odd\.tflite: cannot be loaded.*SPARKLE") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def integers(tmp_path: Path) -> Path:
    """A ReLU on INT8: real = integer / 2."""
    return write(tmp_path / "int8.tflite", Op("RELU", [int8(scale=0.5)], [int8(scale=0.5)]))


def test_integers_at_both_ends_are_converted_inside(integers: Path) -> None:
    values = np.linspace(-3, 3, np.prod(IMAGE), dtype=np.float32).reshape(IMAGE)
    with load(integers) as runtime:
        assert runtime.inputs[0].dtype == runtime.outputs[0].dtype == np.float32
        result = runtime.infer({"t0": values})["t1"]
    np.testing.assert_allclose(result, np.maximum(values, 0), atol=0.25)
    with TFLiteRuntime(integers, integers=True) as runtime:
        assert runtime.inputs[0].dtype == runtime.outputs[0].dtype == np.int8
        assert (runtime.infer({"t0": np.full(IMAGE, 4, np.int8)})["t1"] == 4).all()


def test_quantization_rounds_and_clips() -> None:
    kind = Quantization(0.5, -3, np.dtype(np.int8))
    np.testing.assert_array_equal(kind.quantize(np.array([0, 1, 0.26, 1e9, -1e9])), [-3, -1, -2, 127, -128])
    np.testing.assert_array_equal(kind.dequantize(np.array([-3, -1, 127], np.int8)), [0, 1, 65])


def test_a_file_that_the_edge_tpu_s_compiler_rewrote_keeps_its_description(model: Path) -> None:
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    with pytest.raises(ArtifactError, match="damaged or altered"):
        read_artifact(bytes(data), "it")
    assert read_artifact(bytes(data), "it", recompiled=True) == ARTIFACT
    compiled = model.with_name("model_edgetpu.tflite")
    doubling(compiled)  # a compiler that drops it: then the file it was made from tells
    assert _source_artifact(compiled) == ARTIFACT
    assert _source_artifact(model) is None


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu", "no device 'tpu': expected auto, cpu, gpu"),
        ("edgetpu", r"libedgetpu.* cannot be loaded: .*install Google's libedgetpu"),
        ("delegate:/nowhere/lib.so", r"the delegate /nowhere/lib\.so cannot be loaded"),
    ],
)
def test_devices_that_are_not_there(device: str, message: str, model: Path) -> None:
    with pytest.raises(EdgehrError, match=message) as caught:
        load(model, device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("allowed", [True, False])
def test_it_says_what_file_and_cpu_make_it_compute_in(
    allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, weights = tmp_path / "half.tflite", T((4, 3, 3, 4))
    write(path, Op("DEQUANTIZE", [const(4, 3, 3, 4, dtype="float16")], [weights]), conv(weights=weights))
    path.write_bytes(embed(path.read_bytes(), ARTIFACT, float16_arithmetic=allowed))
    for able in (True, False):
        monkeypatch.setattr(runtime_module, "computes_in_float16", lambda able=able: able)
        with load(path) as runtime:
            assert runtime.precision == ("fp16" if allowed and able else "fp32")
            assert runtime.require_artifact().precision == "fp16"


def test_a_precision_is_refused(model: Path) -> None:
    with pytest.raises(EdgehrError, match="precision of the file"):
        load(model, precision="fp16")


def test_without_a_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"no TFLite is usable .*pip install 'edgehr\[tflite\]'"):
        import_library()


def test_accelerators_need_litert(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = import_library()
    old = Library("tflite-runtime", "2.14.0", real.interpreter)
    monkeypatch.setattr("edgehr.runtimes.tflite.runtime.import_library", lambda: old)
    with pytest.raises(EdgehrError, match=r"tflite-runtime 2\.14\.0 has no device 'gpu'"):
        load(model, "gpu")


def test_a_model_is_described(model: Path) -> None:
    about: dict[str, Any] = describe(model)
    assert about["operators"] == {"MUL": 1, "ADD": 1}
    assert about["inputs"] == [{"name": "image", "shape": [1, 3, 8, 8], "dtype": "float32"}]
    assert about["artifact"]["precision"] == "fp32"


def test_a_description_that_is_no_text_is_refused(model: Path) -> None:
    data = bytearray(model.read_bytes())
    place = metadata_spans(bytes(data), "it")["edgehr"]
    data[place.start] = 0xFF
    with pytest.raises(ArtifactError, match="description is damaged"):
        read_artifact(bytes(data), "it", recompiled=True)


def test_quiet_threads_give_the_terminal_back(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        for _ in range(20):
            with quiet():
                os.write(1, b"noise")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(KeyError), quiet():
        raise KeyError
    os.write(1, b"heard")
    assert capfd.readouterr().out == "heard"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_int8_without_xnnpack_is_warned_of(
    precision: str, model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = import_library()
    resolver = real.interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES

    class WithoutDelegates:
        @staticmethod
        def Interpreter(**options: Any) -> Any:  # noqa: N802
            return real.interpreter.Interpreter(**options, experimental_op_resolver_type=resolver)

    described = replace(ARTIFACT, precision=precision)
    monkeypatch.setattr(runtime_module, "read_artifact", lambda *arguments, **more: described)
    warn_once.cache_clear()
    load(model).close()
    assert "without XNNPACK" not in caplog.text
    bare = Library(real.name, real.version, WithoutDelegates)
    monkeypatch.setattr(runtime_module, "import_library", lambda: bare)
    load(model).close()
    assert ("without XNNPACK, and then gives wrong results" in caplog.text) == (precision == "int8")
