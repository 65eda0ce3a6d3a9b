"""TFLite files beside what `litert_torch.convert` alone makes of the same network: size, operators, latency.

Latency does not depend on weights, so networks without sample weights keep their initial ones.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import interleaved, report
from edgehr.converters import tflite_precision
from edgehr.converters.crops import comparison_batch
from edgehr.converters.quiet import quiet
from edgehr.converters.to_tflite import to_tflite
from edgehr.models.build import build
from edgehr.models.deploy import deploy
from edgehr.runtimes.tflite.graph import read_graph
from edgehr.zoo import get_card

THREADS = 2
MODELS = ("litehrnet-18-wider-naive-coco-256x192", "litehrnet-18-coco-256x192", "hrnet-w32-coco-256x192")
OLD = Path(".venv-tflite-runtime/bin/python")
OLD_SCRIPT = """
import sys, time, numpy as np
from tflite_runtime.interpreter import Interpreter
for path in sys.argv[2:]:
    model = Interpreter(path, num_threads=int(sys.argv[1]))
    model.allocate_tensors()
    entry = model.get_input_details()[0]
    model.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    times = []
    for _ in range(15):
        started = time.perf_counter()
        model.invoke()
        times.append(1000 * (time.perf_counter() - started))
    print(f"  {path.rsplit('/', 1)[-1]:<44} p50 {np.median(times[3:]):8.3f} ms")
"""


def plain(network: torch.nn.Module, shape: tuple[int, ...]) -> bytes:
    """What the converter alone makes of a network."""
    with quiet():
        import litert_torch

        content: bytes = litert_torch.convert(network.eval(), (torch.zeros(shape),)).model_content()
    return content


def runner(path: Path) -> Any:
    """One inference in LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(path), num_threads=THREADS)
    model.allocate_tensors()
    entry = model.get_input_details()[0]
    model.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    return model.invoke


def compiled_runner(path: Path) -> Any:
    """One inference in LiteRT's compiled-model interface, on the CPU."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import CpuOptions, Options

    options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=THREADS))
    model = CompiledModel.from_file(str(path), options=options)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    return lambda: model.run_by_index(0, inputs, outputs)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for model in MODELS:
            card = get_card(model)
            network = build(card)
            files = {"plain": plain(network, (1, 3, card.input.height, card.input.width))}
            files["edgehr fp32"] = to_tflite(deploy(network)[0], card.with_layout("nhwc"), 1)
            files["edgehr fp16"] = tflite_precision.half_weights(files["edgehr fp32"])
            files["edgehr dynamic-int8"] = tflite_precision.dynamic_range(files["edgehr fp32"])
            samples = np.ascontiguousarray(comparison_batch(card).transpose(0, 2, 3, 1))[:, None]
            files["edgehr int8"] = tflite_precision.full_integer(
                files["edgehr fp32"], samples, card.input.name, integer_io=False
            )
            paths = {label: Path(name, f"{model} {label}.tflite") for label in files}
            for label, content in files.items():
                paths[label].write_bytes(content)
                graph = read_graph(paths[label])
                rank = max(len(t.shape) for operator in graph.operators for t in operator.outputs)
                transposes = sum(operator.name == "TRANSPOSE" for operator in graph.operators)
                print(
                    f"  {label:<24} {len(content) / 1e6:7.1f} MB  {len(graph.operators):5} operators  "
                    f"{transposes:4} transposes  rank {rank}"
                )
            calls = {label: runner(path) for label, path in paths.items()}
            calls["edgehr fp32, compiled-model interface"] = compiled_runner(paths["edgehr fp32"])
            rounds = 15 if card.architecture == "hrnet" else 50
            times = interleaved(calls, rounds=rounds, warm_up=3, pause_s=0.02)
            report(f"{model}, LiteRT, batch 1, {THREADS} threads", times, "plain")
            if OLD.exists():
                print(f"\n{model}, tflite-runtime 2.14, batch 1, {THREADS} threads", flush=True)
                subprocess.run([OLD, "-c", OLD_SCRIPT, str(THREADS), *map(str, paths.values())], check=True)


if __name__ == "__main__":
    main()
