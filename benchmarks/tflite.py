"""Compare TFLite files with what `litert_torch.convert` alone makes of a network: size, operators, latency.

Latency does not depend on weights, so networks without sample weights keep their initial ones.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edgehr.calib.quantize import quantize_on
from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.recipes import recipe_for
from edgehr.card import ModelCard
from edgehr.converters.compare import comparison_batch
from edgehr.converters.onnx.export import export_onnx
from edgehr.converters.onnx.simplify import simplify
from edgehr.converters.quiet import quiet
from edgehr.converters.tflite import precision as tflite_precision
from edgehr.converters.tflite.from_torch import to_tflite
from edgehr.converters.tflite.rewrite import rewrite
from edgehr.converters.tflite.writer import write_tflite
from edgehr.models import Network, build
from edgehr.models.deploy.rewrite import deploy
from edgehr.runtimes.tflite.graph import read_graph
from edgehr.zoo import get_card

THREADS = 2
MODELS = ("litehrnet-18-wider-naive-coco-256x192", "litehrnet-18-coco-256x192", "hrnet-w32-coco-256x192")
OLD = Path(".venv-tflite-runtime/bin/python")
SCRIPT = Path(__file__).with_name("tflite_latency.py")


def plain(network: torch.nn.Module, shape: tuple[int, ...]) -> bytes:
    """Convert a network with nothing but the converter."""
    with quiet():
        import litert_torch

        content: bytes = litert_torch.convert(network.eval(), (torch.zeros(shape),)).model_content()
    return content


def int8(network: Network, card: ModelCard) -> bytes:
    """Convert as `edgehr convert --precision int8` does, but quantize on a few photographs: latency is the same."""
    crops, recipe = comparison_batch(card), recipe_for(card, "tflite")
    recipe = replace(recipe, fit_crops=len(crops))
    form, _ = deploy(network, recipe.form)
    model, _ = simplify(export_onnx(form, card, 1))
    quantized = quantize_on(Graph(model), crops, recipe, lambda what: None)
    return rewrite(write_tflite(quantized, card.with_layout("nhwc")))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for model in MODELS:
            card = get_card(model)
            network = build(card)
            files = {"plain": plain(network, (1, 3, card.input.height, card.input.width))}
            files["edgehr fp32"] = rewrite(to_tflite(deploy(network)[0], card.with_layout("nhwc"), 1))
            files["edgehr fp16"] = tflite_precision.half_weights(files["edgehr fp32"])
            files["edgehr dynamic-int8"] = tflite_precision.dynamic_range(files["edgehr fp32"])
            files["edgehr int8"] = int8(network, card)
            samples = np.ascontiguousarray(comparison_batch(card).transpose(0, 2, 3, 1))[:, None]
            files["ai-edge-quantizer int8"] = tflite_precision.full_integer(
                files["edgehr fp32"], samples, card.input.name, integer_io=False
            )
            paths = {label: Path(name, label) for label in files}
            for label, content in files.items():
                paths[label].write_bytes(content)
                graph = read_graph(paths[label])
                rank = max(len(t.shape) for operator in graph.operators for t in operator.outputs)
                transposes = sum(operator.name == "TRANSPOSE" for operator in graph.operators)
                print(
                    f"  {label:<24} {len(content) / 1e6:7.1f} MB  {len(graph.operators):5} operators  "
                    f"{transposes:4} transposes  rank {rank}"
                )
            pythons = {"ai_edge_litert": Path(sys.executable), "tflite_runtime": OLD}
            for module, python in pythons.items():
                if python.exists():
                    print(f"\n{model}, {module}, batch 1, {THREADS} threads", flush=True)
                    rounds = 15 if card.architecture == "hrnet" or module == "tflite_runtime" else 60
                    command = [python, SCRIPT, module, THREADS, rounds, *paths.values()]
                    subprocess.run(list(map(str, command)), check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
