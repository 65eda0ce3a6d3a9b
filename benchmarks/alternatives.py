"""Time what a user would pick instead, in turns: PyTorch, a plain export, and edgehr's artifacts of the same weights.

    python -m benchmarks.alternatives [MODEL] [--threads 2] [--rounds 48] [--also NAME=FILE] [--skip-compile]

`--also` adds artifacts that take long to make, such as INT8 ones of edgehr and of NNCF's defaults. At the end
OpenVINO's own `benchmark_app` and `edgehr bench` measure one file, several times in turns. The table is Markdown.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from edgehr.benchmark.ranking import compare
from edgehr.benchmark.state import UseMeter, machine
from edgehr.benchmark.timing import PAUSE_S, Latency, calls_a_turn, interleaved, warm_up
from edgehr.converters.compare import comparison_batch
from edgehr.converters.convert import convert
from edgehr.models.build import load as load_network
from edgehr.runtimes import Runtime, load
from edgehr.zoo import DEFAULT_MODEL, find_weights, get_card

BASE = "edgehr, OpenVINO"
PAIRS = 5
BENCHMARK_APP = "from openvino.tools.benchmark.main import main; main()"


def torch_calls(card_name: str, image: np.ndarray, threads: int, *, compiled: bool) -> dict[str, Callable[[], object]]:
    torch.set_num_threads(threads)
    card = get_card(card_name)
    network = load_network(card, find_weights(card)).eval()
    batch = torch.from_numpy(image)

    def caller(model: Callable[[torch.Tensor], object]) -> Callable[[], object]:
        def call() -> None:
            with torch.inference_mode():
                model(batch)

        return call

    calls = {"PyTorch, eager": caller(network)}
    if compiled:
        calls["PyTorch, compiled"] = caller(torch.compile(network))
        calls["PyTorch, compiled"]()
    return calls


def caller(runtime: Runtime, image: np.ndarray) -> Callable[[], object]:
    spec = runtime.inputs[0]
    turned = image.transpose(0, 2, 3, 1) if runtime.card.layout == "nhwc" else image
    inputs = {spec.name: np.ascontiguousarray(turned).astype(spec.dtype)}
    return lambda: runtime.infer(inputs)


def benchmark_app(path: Path, threads: int) -> float:
    """Return the median milliseconds that OpenVINO's own tool measures, one inference at a time."""
    # It takes no number of threads beside a hint; one stream is what the hint of latency means.
    options = ["-m", path, "-d", "CPU", "-hint", "none", "-nstreams", 1, "-nthreads", threads, "-t", 3]
    options += ["-infer_precision", "f32", "-api", "sync"]
    command = [sys.executable, "-c", BENCHMARK_APP, *map(str, options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Median:\s+([\d.]+) ms", done.stdout)
    if found is None:
        raise SystemExit(f"benchmark_app told no median: {done.stdout[-500:]}")
    return float(found[1])


def own(path: Path, threads: int) -> float:
    import json

    options = ["--threads", threads, "--seconds", 3, "--starts", 0, "--streams", 0, "--json"]
    command = [sys.executable, "-m", "edgehr.cli.main", "bench", str(path), *map(str, options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["candidates"][0]["latency"]["p50_ms"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="alternatives", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=48)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--skip-compile", action="store_true")
    args = parser.parse_args()
    card = get_card(args.model)
    image = comparison_batch(card)[:1]
    with tempfile.TemporaryDirectory() as name:
        folder, runtimes = Path(name), {}
        for title, target, suffix, plain in (
            ("plain export, ONNX Runtime", "onnx", ".onnx", True),
            ("plain export, OpenVINO", "openvino", ".xml", True),
            ("edgehr, ONNX Runtime", "onnx", ".onnx", False),
            (BASE, "openvino", ".xml", False),
            ("edgehr, LiteRT", "tflite", ".tflite", False),
        ):
            path = folder / f"{'plain' if plain else 'edgehr'}-{target}{suffix}"
            convert(card, find_weights(card), target, plain=plain, out=path)
            runtimes[title] = load(path, threads=args.threads)
        for title, _, file in (each.partition("=") for each in args.also):
            runtimes[title] = load(file, threads=args.threads)
        calls = torch_calls(args.model, image, args.threads, compiled=not args.skip_compile)
        calls |= {title: caller(runtime, image) for title, runtime in runtimes.items()}
        turns = {title: calls_a_turn(warm_up(call).call_ms) for title, call in calls.items()}
        meter = UseMeter()
        times = interleaved(calls, args.rounds, 0, PAUSE_S, calls=turns, lead=1)
        others = meter.read().others or 0.0
        print(f"{card.name}, float32 but for INT8, batch 1, {args.threads} threads, {machine()}")
        print(f"{args.rounds} rounds in turns; others kept {others:.1f} cores busy\n")
        print("| | p50 | p90 | time | |\n| --- | --- | --- | --- | --- |")
        ordered = {BASE: times[BASE], **times}
        against = {each.second: each for each in compare(ordered) if each.first == BASE}
        for title, values in times.items():
            found, latency = against.get(title), Latency.of(values)
            ratio = f"{found.ratio:.2f} ({found.low:.2f} to {found.high:.2f}) | {found.verdict}" if found else "1 | "
            print(f"| {title} | {latency.p50_ms:.1f} ms | {latency.p90_ms:.1f} ms | {ratio} |")
        for runtime in runtimes.values():
            runtime.close()
        pairs = []
        for number in range(PAIRS):
            tools = [benchmark_app, own] if number % 2 else [own, benchmark_app]
            measured = {tool: tool(folder / "edgehr-openvino.xml", args.threads) for tool in tools}
            pairs.append((measured[benchmark_app], measured[own]))
        theirs, ours = np.array(pairs).T
        print(f"\nbenchmark_app {np.round(theirs, 2)} ms, edgehr bench {np.round(ours, 2)} ms")
        print(f"edgehr bench / benchmark_app: {np.round(ours / theirs, 3)}, median {np.median(ours / theirs):.3f}")


if __name__ == "__main__":
    main()
