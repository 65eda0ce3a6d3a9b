"""Time conversions by stage, the start of each process included.

    python -m benchmarks.conversion [MODEL ...] [--weights FILE] [--calib PATH]

Three targets in float32; with `--calib`, in INT8 too, without what the cache may hold. The bar is 60 s for all three in
float, and for each in INT8.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = ("litehrnet-18-wider-naive-coco-256x192", "litehrnet-18-coco-256x192")
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "tflite": ".tflite"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--weights", type=Path, help="by default the sample's, or random ones, which take as long")
    parser.add_argument("--calib", help="what `edgehr convert --calib` takes")
    options = parser.parse_args()
    for model in options.models:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            weights = ["--weights", str(options.weights)] if options.weights else weights_for(model, folder)
            total = sum(timed(model, target, weights, folder) for target in SUFFIXES)
            print(f"{model}: {total:.0f} s for all in float32", flush=True)
            if options.calib:
                for target in SUFFIXES:
                    timed(model, target, [*weights, "--precision", "int8", "--calib", options.calib], folder)


def weights_for(model: str, folder: Path) -> list[str]:
    """Make random weights where a model's own would have to be downloaded: conversion takes as long with them."""
    from safetensors.torch import save_file

    from edgehr.models import build
    from edgehr.zoo import get_card

    card = get_card(model)
    if card.weights.origin == "sample":
        return []
    save_file(build(card).state_dict(), folder / "random.safetensors")
    return ["--weights", str(folder / "random.safetensors")]


def timed(model: str, target: str, options: list[str], folder: Path) -> float:
    """Convert in a process of its own; print and return its seconds."""
    command = [sys.executable, "-m", "edgehr.cli.main", "convert", model, "--to", target, "--json", *options]
    command += ["--out", str(folder / f"model{SUFFIXES[target]}")]
    environment = {**os.environ, "EDGEHR_CACHE": str(folder / target)}
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    whole = time.perf_counter() - started
    report = json.loads(done.stdout)
    listed = ", ".join(f"{stage['name']} {stage['seconds']:.1f}" for stage in report["stages"])
    print(f"  {target:<9} {report['precision']:<5} {whole:6.1f} s ({listed})", flush=True)
    return whole


if __name__ == "__main__":
    main()
