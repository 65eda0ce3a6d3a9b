"""Time quantization where freed memory stays with the process and where it does not: `edgehr.calib.memory`.

    python -m benchmarks.freed_memory ANNOTATIONS [--model NAME] [--weights FILE] [--rounds N]

`edgehr convert --precision int8` to ONNX, each time in a process of its own, in turns, without the cache: seconds by
the clock, seconds of the kernel, and peak memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest import mock

from edgehr.benchmark.fresh import peak_mib

SAMPLE = "litehrnet-18-wider-naive-coco-256x192"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--model", default=SAMPLE)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--once", choices=("returned", "held"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        quantize_once(options, held=options.once == "held")
        return
    found: dict[str, list[list[float]]] = {"returned": [], "held": []}
    for _ in range(options.rounds):
        for way, rows in found.items():
            rows.append(measured(way))
            seconds, kernel, peak_mib = rows[-1]
            print(f"{way:9} {seconds:6.1f} s, {kernel:6.1f} s in the kernel, {peak_mib:6.0f} MiB", flush=True)
    ratio = median(held[0] / returned[0] for held, returned in zip(found["held"], found["returned"], strict=True))
    print(f"ratio     {ratio:.2f}")


def measured(way: str) -> list[float]:
    """Quantize in a process of its own; returns its seconds, those in the kernel, and its peak MiB."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "benchmarks.freed_memory", *sys.argv[1:], "--once", way]
        environment = {**os.environ, "EDGEHR_CACHE": cache}
        ran = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) for word in ran.stdout.split()[-3:]]


def quantize_once(options: argparse.Namespace, *, held: bool) -> None:
    if not held:
        mock.patch("platform.libc_ver", return_value=("", "")).start()  # as where the C library is another
    from edgehr.cli.main import main as edgehr

    with tempfile.TemporaryDirectory() as folder:
        words = ["convert", options.model, "--to", "onnx", "--precision", "int8", "--calib", str(options.annotations)]
        words += ["--out", str(Path(folder) / "int8.onnx")]
        words += ["--weights", str(options.weights)] if options.weights else []
        start, before = time.perf_counter(), os.times().system
        if code := edgehr(words):
            sys.exit(code)
    print(time.perf_counter() - start, os.times().system - before, peak_mib())


if __name__ == "__main__":
    main()
