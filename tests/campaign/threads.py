"""Sixteen threads on one runtime, in every way of calling it at once."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random
from typing import Any

from tests.campaign import BrokenPromiseError

BACKENDS = ("onnx", "openvino", "tflite")
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "tflite": ".tflite"}
THREADS, CALLS, INPUTS = 16, 12, 6


def prepare(folder: Path) -> None:
    """Take the packaged models, and one as OpenVINO IR."""
    import openvino as ov

    from edgehr.assets import packaged_model
    from edgehr.zoo import DEFAULT_MODEL

    source = packaged_model(DEFAULT_MODEL)
    for suffix in (".onnx", ".tflite"):
        (folder / f"m{suffix}").write_bytes(source.with_suffix(suffix).read_bytes())
    ov.save_model(ov.Core().read_model(str(folder / "m.onnx")), str(folder / "m.xml"), compress_to_fp16=False)


def many_threads(backend: str, folder: Path, random: Random) -> str:
    """Compare all results with those of one thread that were made before, to the last bit."""
    import numpy as np

    import edgehr

    draws = np.random.default_rng(random.getrandbits(32))
    with edgehr.load(folder / f"m{SUFFIXES[backend]}", threads=random.choice((1, 2))) as runtime:
        (spec,) = runtime.inputs
        shape = tuple(size or 1 for size in spec.shape)
        inputs = [draws.standard_normal(shape).astype(spec.dtype) for _ in range(INPUTS)]
        expected = [runtime.infer({spec.name: each}) for each in inputs]
        failures: list[str] = []
        together = threading.Barrier(THREADS)

        def call(own: Random) -> None:
            try:
                together.wait()
                for _ in range(CALLS):
                    how, numbers, found = _call(runtime, spec.name, inputs, own)
                    for number, result in zip(numbers, found, strict=True):
                        for name, value in expected[number].items():
                            if not np.array_equal(result[name].view(np.uint8), value.view(np.uint8)):
                                failures.append(f"{how} gave another {name}")
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=call, args=(Random(random.getrandbits(32)),)) for _ in range(THREADS)]  # noqa: S311
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise BrokenPromiseError(f"{len(failures)} of {THREADS * CALLS} calls: {failures[0]}")
    return "same bits"


def _call(runtime: Any, name: str, inputs: list[Any], random: Random) -> tuple[str, list[int], list[dict[str, Any]]]:
    """Call the runtime in one way; returns which, the numbers of the inputs and their results."""
    import numpy as np

    how = random.choice(("infer", "infer_batch", "infer_async"))
    numbers = [random.randrange(len(inputs)) for _ in range(1 if how == "infer" else random.randint(1, 4))]
    if how == "infer":
        return how, numbers, [runtime.infer({name: inputs[numbers[0]]})]
    if how == "infer_async":
        futures = [runtime.infer_async({name: inputs[number]}) for number in numbers]
        return how, numbers, [future.result() for future in futures]
    found = runtime.infer_batch(np.concatenate([inputs[number] for number in numbers]))
    return how, numbers, [{key: value[i : i + 1] for key, value in found.items()} for i in range(len(numbers))]
