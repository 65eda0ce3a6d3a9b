"""Compare the deploy form with the plain export: latency, operators, memory, profile, and the limit of arithmetic.

python -m benchmarks.deploy_form [--model NAME] [--weights FILE] [--rounds N] [ARTIFACT ...]

Latency does not depend on weights, so without a checkpoint the network keeps its initial ones. Artifacts, INT8 ones for
example, are measured beside both forms on their runtime.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.operators import profile
from benchmarks.peak_memory import open_float32
from benchmarks.tflite import plain as plain_tflite
from edgehr.benchmark.timing import interleaved
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.card import ModelCard
from edgehr.converters.onnx.export import export_onnx
from edgehr.converters.onnx.simplify import simplify
from edgehr.converters.openvino.ir import PASSIVE, to_ir
from edgehr.converters.target import make_target
from edgehr.converters.tflite.writer import write_float
from edgehr.models.build import build, load
from edgehr.models.deploy.rewrite import deploy
from edgehr.runtimes.formats import FORMATS, format_of
from edgehr.zoo import find_card

THREADS, PAUSE_S, SHOWN = 2, 0.02, 8
TARGETS = ("openvino", "onnx", "tflite")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="litehrnet-18-coco-256x192")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("artifacts", nargs="*", type=Path)
    args = parser.parse_args() if __name__ == "__main__" else parser.parse_args([])
    card = find_card(args.model)
    network = load(card, args.weights) if args.weights else build(card)
    peak = _peak()
    print(f"matrix products of float32 reach {peak / 1e9:.0f} GFLOP/s with {THREADS} threads")
    with tempfile.TemporaryDirectory() as name:
        for target in args.targets:
            suffix = FORMATS.get(target).suffixes[0]
            files = {form: Path(name, form + suffix) for form in ("plain", "deploy")}
            _write(network, card, target, files["plain"])
            _write(deploy(network, make_target(target).form())[0], card, target, files["deploy"])
            files |= {path.name: path for path in args.artifacts if format_of(path).name == target}
            _report(f"{card.name}, {target}, batch 1, {THREADS} threads", files, args.rounds, peak)


def _write(network: nn.Module, card: ModelCard, target: str, path: Path) -> None:
    """Export as the converters do; the plain TFLite file is litert-torch's where that is installed."""
    if target == "tflite" and path.stem == "plain":
        path.write_bytes(plain_tflite(network, card))
        return
    model, failure = simplify(export_onnx(network, card, 1))
    if failure:
        raise SystemExit(failure)
    if target == "tflite":
        path.write_bytes(write_float(Graph(model), card.with_layout("nhwc")))
    elif target == "onnx":
        path.write_bytes(model.SerializeToString())
    else:
        import openvino as ov

        ov.save_model(to_ir(model), str(path), compress_to_fp16=False)


def _report(title: str, files: dict[str, Path], rounds: int, peak: float) -> None:
    runtimes = {name: open_float32(path, THREADS) for name, path in files.items()}
    calls = {}
    for name, runtime in runtimes.items():
        entry = runtime.inputs[0]
        image = np.zeros([size or 1 for size in entry.shape], entry.dtype)
        calls[name] = lambda runtime=runtime, image=image, key=entry.name: runtime.infer({key: image})
    times = interleaved(calls, rounds, warm_up=5, pause_s=PAUSE_S)
    for runtime in runtimes.values():
        runtime.close()
    print(f"\n{title}, {rounds} rounds in turns")
    for name, path in files.items():
        p50, p90 = np.percentile(times[name], (50, 90))
        ratio = np.median(times[name] / times["plain"])
        coverage, counts = format_of(path).coverage(path), format_of(path).operators(path)
        floor = f"{2000 * coverage.macs / peak:.1f} ms" if coverage else "?"
        print(
            f"  {name:<24} p50 {p50:7.2f} ms  p90 {p90:7.2f} ms  x{ratio:.2f} (paired)  "
            f"{_computing(counts)} operators  {_memory(path):.0f} MiB  at the peak of float32 {floor}"
        )
    for name, path in files.items():
        rows = profile(path, THREADS)
        if rows:
            print(f"  {name}: {sum(row[2] for row in rows):.2f} ms in {sum(row[1] for row in rows)} operators")
        for kind, count, milliseconds in rows[:SHOWN]:
            print(f"    {milliseconds:7.2f} ms  {count:4}  {kind}")


def _computing(counts: dict[str, int] | None) -> int:
    return sum(count for kind, count in (counts or {}).items() if kind not in PASSIVE)


def _memory(path: Path) -> float:
    """Measure the peak memory, MiB, of a process that loads one file and runs it."""
    command = [sys.executable, "-m", "benchmarks.peak_memory", str(path), str(THREADS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def _peak(size: int = 1536, repeats: int = 8) -> float:
    """Measure FLOP/s by the fastest of some float32 matrix products."""
    torch.set_num_threads(THREADS)
    a, b = torch.rand(size, size), torch.rand(size, size)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - started)
    return float(2 * size**3 / min(seconds))


if __name__ == "__main__":
    main()
