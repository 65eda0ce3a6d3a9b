"""Times of operators, and models that several callers run side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgehr.assets import packaged_model
from edgehr.errors import EdgehrError, TensorError
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.onnx.profiling import read_events
from edgehr.runtimes.onnx.runtime import OnnxRuntime
from edgehr.runtimes.openvino.runtime import OpenVINORuntime
from edgehr.runtimes.tensorrt.profiling import UNCOUNTED, profile_context

MODEL = "hrnetv2-w18-small-v1-person-192x192"


def fed(runtime: Runtime) -> dict[str, Any]:
    (spec,) = runtime.inputs
    shape = [size or 1 for size in spec.shape]
    return {spec.name: np.random.default_rng(0).random(shape, np.float32).astype(spec.dtype)}


@pytest.mark.parametrize("kind", [OnnxRuntime, OpenVINORuntime])
def test_operators_are_timed(kind: type[Runtime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would put its file by itself
    with kind(packaged_model(MODEL), threads=1) as runtime:  # type: ignore[call-arg]
        found = runtime.profile(fed(runtime), runs=2)
        assert {each.name for each in runtime.profile(fed(runtime), runs=1)} == {each.name for each in found}
        with pytest.raises(TensorError):
            runtime.profile({})
    convolutions = [each for each in found if each.kind in ("Conv", "Convolution")]
    assert len(convolutions) > 50
    assert all(each.ms > 0 and each.kernel for each in convolutions)
    assert sum(each.ms for each in convolutions) > 0.3 * sum(each.ms for each in found)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EdgehrError, match="closed"):
        runtime.profile({})


def test_a_runtime_without_a_profiler_says_so() -> None:
    with load(packaged_model(MODEL, ".tflite")) as runtime, pytest.raises(EdgehrError, match="tflite does not tell"):
        runtime.profile(fed(runtime))


def test_nodes_are_averaged_over_the_last_runs() -> None:
    def event(name: str, duration: int) -> dict[str, Any]:
        arguments = {"op_name": "Conv", "provider": "CPUExecutionProvider"}
        return {"cat": "Node", "name": name, "dur": duration, "args": arguments}

    events = [event("a_kernel_time", each) for each in (9000, 1000, 3000)]
    events += [event("a_fence_before", 7), {"cat": "Session", "name": "model_run", "dur": 5}]
    (found,) = read_events(events, 2)
    assert (found.name, found.kind, found.ms, found.kernel) == ("a", "Conv", 2.0, "CPU")


def test_layers_of_tensorrt_are_averaged() -> None:
    """By an object with the profiler's interface: there is no GPU here."""
    context = SimpleNamespace(profiler=None)
    calls = []

    def infer() -> None:
        calls.append(1)
        if context.profiler is not None:
            for name, ms in (("conv + relu", 1.0), ("copy", 0.25), ("copy", 0.25)):
                context.profiler.report_layer_time(name, ms)

    found = profile_context(SimpleNamespace(IProfiler=object), context, infer, runs=4)
    assert [(each.name, each.ms) for each in found] == [("conv + relu", 1.0), ("copy", 0.5)]
    assert len(calls) == UNCOUNTED + 4


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_callers_side_by_side_get_what_one_gets(suffix: str) -> None:
    with load(packaged_model(MODEL, suffix)) as runtime:
        inputs = fed(runtime)
        alone = runtime.infer(inputs)
        infer = runtime.open_streams(2)
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda _: infer(inputs), range(4)))
        for each in results:
            for name, array in alone.items():
                np.testing.assert_allclose(each[name], array, atol=2e-2)
        with pytest.raises(TensorError):
            infer({})
        runtime.open_streams(1)(inputs)
    with pytest.raises(EdgehrError, match="closed"):
        infer(inputs)
    with pytest.raises(EdgehrError, match="closed"):
        runtime.open_streams(2)
