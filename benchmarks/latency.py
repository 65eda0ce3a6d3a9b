"""Time one inference of the sample model on each runtime: batch 1, 2 threads, in turns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import print_times
from edgehr.benchmark.timing import interleaved
from edgehr.converters.compare import comparison_batch
from edgehr.converters.convert import convert
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes import load
from edgehr.zoo import DEFAULT_MODEL, find_weights, get_card

THREADS = 2


def main() -> None:
    card = get_card(DEFAULT_MODEL)
    weights = find_weights(card)
    image = comparison_batch(card)[:1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runtimes = {"PyTorch float32": TorchRuntime(card, weights, THREADS)}
        for precision in ("fp32", "fp16"):
            for target, suffix, label in (("onnx", ".onnx", "ONNX Runtime"), ("openvino", ".xml", "OpenVINO")):
                path = folder / f"{precision}{suffix}"
                convert(card, weights, target, precision=precision, out=path)
                runtimes[f"{label} {precision}"] = load(path, threads=THREADS)
        for precision in ("bf16", "fp16"):
            loaded = load(folder / "fp32.xml", threads=THREADS, precision=precision)
            runtimes[f"OpenVINO fp32 file, computing in {loaded.precision}"] = loaded
        times = interleaved(
            {name: lambda runtime=runtime: runtime.infer({"image": image}) for name, runtime in runtimes.items()},
            rounds=60,
            warm_up=10,
            pause_s=0.03,
        )
        print_times(f"{card.name}, batch 1, {THREADS} threads", times, "OpenVINO fp32")
        for runtime in runtimes.values():
            runtime.close()


if __name__ == "__main__":
    main()
