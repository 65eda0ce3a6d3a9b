"""Several inputs at once: copies of a model on one thread each, in every backend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgehr
from edgehr.assets import group_picture, packaged_model
from edgehr.errors import EdgehrError
from edgehr.runtimes import Runtime, load, streams
from edgehr.runtimes.onnx.runtime import OnnxRuntime
from edgehr.runtimes.openvino.runtime import OpenVINORuntime
from edgehr.runtimes.streams import Streams
from edgehr.runtimes.tflite.runtime import TFLiteRuntime
from edgehr.tasks.image.reading import read_image
from edgehr.zoo import DEFAULT_MODEL
from tests.runtimes.small_models import conv_model

BACKENDS = {"onnx": OnnxRuntime, "openvino": OpenVINORuntime, "tflite": TFLiteRuntime}
INPUT = {"x": np.zeros(1)}


@pytest.fixture(params=BACKENDS)
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """The sample model, with two threads."""
    path = packaged_model(DEFAULT_MODEL, ".tflite" if request.param == "tflite" else ".onnx")
    with BACKENDS[request.param](path, threads=2) as opened:
        yield opened


def wait_until_open(found: Streams) -> None:
    assert found._opening is not None
    found._opening.join()
    assert found._opened is not None


def test_results_are_the_same_in_the_same_order(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = np.random.default_rng(0).standard_normal((5, *runtime.inputs[0].shape[1:])).astype(np.float32)
    wanted = runtime.infer_batch(crops)
    used: list[int] = []
    run = runtime._streams.run
    monkeypatch.setattr(runtime._streams, "run", lambda inputs: used.append(len(inputs)) or run(inputs))
    runtime.infer_batch(crops[:2])
    wait_until_open(runtime._streams)
    runtime._streams._whole_s = 1e9
    for count in (5, 2, 1, 0):
        found = runtime.infer_batch(crops[:count])
        assert {name: array.tobytes() for name, array in found.items()} == {
            name: array[:count].tobytes() for name, array in wanted.items()
        }
    assert used == [5, 2]


def test_several_callers_get_their_own_results(runtime: Runtime) -> None:
    crops = np.random.default_rng(0).standard_normal((8, *runtime.inputs[0].shape[1:])).astype(np.float32)
    pairs = [crops[i : i + 2] for i in range(0, 8, 2)]
    wanted = [runtime.infer_batch(pair)["heatmaps"] for pair in pairs]
    wait_until_open(runtime._streams)
    runtime._streams._whole_s = 1e9
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        found[number] = runtime.infer_batch(pairs[number])["heatmaps"]

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, each in enumerate(wanted):
        np.testing.assert_array_equal(found[number], each)


def test_a_runtime_closes_while_streams_are_opened(runtime: Runtime) -> None:
    crops = np.zeros((2, *runtime.inputs[0].shape[1:]), np.float32)
    for _ in range(streams.OPENED_AT_CALL):
        runtime.infer_batch(crops)
    assert runtime._streams._opening is not None
    runtime.close()
    assert not runtime._streams._opening.is_alive()
    assert runtime._streams._opened is None
    with pytest.raises(EdgehrError, match="is closed"):
        runtime.infer_batch(crops)


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (2, 2)])
def test_one_thread_or_a_batch_of_several_has_no_streams(batch: int, threads: int, tmp_path: Path) -> None:
    onnx.save(conv_model(batch), tmp_path / "a.onnx")
    with load(tmp_path / "a.onnx", threads=threads) as runtime:
        for _ in range(5):
            runtime.infer_batch(np.zeros((6, 3, 8, 8), np.float32))
        assert runtime._streams._opening is None


def opened(open_streams: Callable[[int], Any]) -> Streams:
    found = Streams(open_streams, 2, "test")
    for _ in range(streams.OPENED_AT_CALL):
        assert not found.pay(4, INPUT)
        found.note_whole(4, 1.0)
    assert found._opening is not None
    found._opening.join()
    return found


def test_the_faster_way_is_taken_and_the_other_tried_again() -> None:
    found = opened(lambda count: lambda inputs: {"y": inputs["x"]})
    assert found.pay(4, INPUT)  # to find out
    assert len(found.run([INPUT] * 4)) == 4
    for stream_s, choice in ((0.4, True), (0.6, False)):  # 0.25 s an input as a whole, 4 inputs in 2 rounds of streams
        found._stream_s = stream_s
        chosen = [found.pay(4, INPUT) for _ in range(streams.TRIED_AGAIN_AFTER)]
        assert chosen.count(not choice) == 1
    found._stream_s = 0.4
    assert not found.pay(3, INPUT) or found._calls % streams.TRIED_AGAIN_AFTER == 0  # 0.8 s in place of 0.75
    assert not found.pay(1, INPUT)
    found.close()
    with pytest.raises(EdgehrError, match="not open"):
        found.run([INPUT])


def test_where_they_cannot_be_opened_the_model_goes_on_alone() -> None:
    def fail(count: int) -> Any:
        raise MemoryError

    found = opened(fail)
    assert not any(found.pay(4, INPUT) for _ in range(2 * streams.TRIED_AGAIN_AFTER))
    found.close()


def test_people_of_a_picture_are_estimated_side_by_side() -> None:
    image = read_image(group_picture())
    with edgehr.PoseEstimator(threads=2) as estimator:
        first = estimator(image)
        assert len(first) > 1
        estimator(image)
        wait_until_open(estimator.runtime._streams)
        estimator.runtime._streams._whole_s = 1e9
        assert estimator(image).keypoints.tobytes() == first.keypoints.tobytes()
        assert estimator.runtime._streams._stream_s is not None
