"""Time the conversion of Lite-HRNet-18 to OpenVINO by stage, the start of the process included. The bar is 60 s."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = ("litehrnet-18-wider-naive-coco-256x192", "litehrnet-18-coco-256x192")


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


def main() -> None:
    print("\nconversion to OpenVINO, one process each")
    for model in MODELS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            command = [sys.executable, "-m", "edgehr.cli.main", "convert", model, "--to", "openvino", "--json"]
            command += ["--out", str(folder / "model.xml"), *weights_for(model, folder)]
            started = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            whole = time.perf_counter() - started
        stages = json.loads(done.stdout)["stages"]
        listed = ", ".join(f"{stage['name']} {stage['seconds']:.1f}" for stage in stages)
        print(f"  {model:<40} {whole:5.1f} s ({listed})")


if __name__ == "__main__":
    main()
