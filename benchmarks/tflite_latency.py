"""Time TFLite files in turns, in a process that holds nothing else: run by `benchmarks.tflite`.

python benchmarks/tflite_latency.py ai_edge_litert|tflite_runtime THREADS ROUNDS FILE ...
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable

import numpy as np

PAUSE_S = 0.02  # thread pools that spin after their work come to rest


def interpreted(module: str, path: str, threads: int) -> Callable[[], object]:
    model = importlib.import_module(f"{module}.interpreter").Interpreter(path, num_threads=threads)
    model.allocate_tensors()
    entry = model.get_input_details()[0]
    model.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    return model.invoke


def compiled(path: str, threads: int) -> Callable[[], object]:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import CpuOptions, Options

    options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads))
    model = CompiledModel.from_file(path, options=options)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    return lambda: model.run_by_index(0, inputs, outputs)


def main() -> None:
    module, (threads, rounds), paths = sys.argv[1], map(int, sys.argv[2:4]), sys.argv[4:]
    calls = {path.rsplit("/", 1)[-1]: interpreted(module, path, threads) for path in paths}
    if module == "ai_edge_litert":
        calls["edgehr fp32, compiled-model interface"] = compiled(paths[1], threads)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 3):
        for name, call in calls.items():
            time.sleep(PAUSE_S)
            call()  # back into the caches, which the others have taken
            started = time.perf_counter()
            call()
            if number >= 3:
                times[name].append(1000 * (time.perf_counter() - started))
    first = np.median(next(iter(times.values())))
    for name, values in times.items():
        p50, p90 = np.percentile(values, [50, 90])
        print(f"  {name:<44} p50 {p50:8.3f} ms   p90 {p90:8.3f} ms   x{p50 / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
