"""Compare TFLite files with what `litert_torch.convert` alone makes of a network: size, operators, latency.

The project needs litert-torch for nothing else: where it is not installed, the deploy form is compared with what edgehr
writes of the network as it was trained. Latency does not depend on weights, so networks without sample weights keep
their initial ones.
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
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.recipes import recipe_for
from edgehr.card import ModelCard
from edgehr.converters.compare import comparison_batch
from edgehr.converters.onnx.export import export_onnx
from edgehr.converters.onnx.simplify import simplify
from edgehr.converters.quiet import quiet
from edgehr.converters.tflite.static_int8 import quantize_static
from edgehr.converters.tflite.writer import write_float, write_int8
from edgehr.models import Network, build
from edgehr.models.deploy.rewrite import deploy
from edgehr.runtimes.tflite.graph import read_graph
from edgehr.zoo import get_card

THREADS = 2
MODELS = ("litehrnet-18-wider-naive-coco-256x192", "litehrnet-18-coco-256x192", "hrnet-w32-coco-256x192")
OLD = Path(".venv-tflite-runtime/bin/python")
SCRIPT = Path(__file__).with_name("tflite_latency.py")


def graph_of(network: torch.nn.Module, card: ModelCard) -> Graph:
    return Graph(simplify(export_onnx(network.eval(), card, 1))[0])


def plain(network: torch.nn.Module, card: ModelCard) -> bytes:
    """Convert a network as it was trained, with nothing but litert-torch where that is here."""
    try:
        with quiet():
            import litert_torch

            shape = (1, 3, card.input.height, card.input.width)
            content: bytes = litert_torch.convert(network.eval(), (torch.zeros(shape),)).model_content()
    except ImportError:
        content = write_float(graph_of(network, card), card)
    return content


def int8(network: Network, card: ModelCard) -> bytes:
    """Convert as `edgehr convert --precision int8` does, but quantize on a few photographs: latency is the same."""
    crops, recipe = comparison_batch(card), recipe_for(card, "kernels")
    recipe = replace(recipe, fit_crops=len(crops))
    quantized = quantize_on(graph_of(deploy(network, recipe.form)[0], card), crops, recipe, lambda what: None)
    return write_int8(quantized, card.with_layout("nhwc"))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for model in MODELS:
            card = get_card(model)
            network = build(card)
            files, graph = {"plain": plain(network, card)}, graph_of(deploy(network)[0], card)
            for precision in ("fp32", "fp16", "dynamic-int8"):
                files[f"edgehr {precision}"] = write_float(graph, card.with_layout("nhwc"), precision)
            files["edgehr int8"] = int8(network, card)
            samples = np.ascontiguousarray(comparison_batch(card).transpose(0, 2, 3, 1))[:, None]
            files["ai-edge-quantizer int8"] = quantize_static(
                files["edgehr fp32"], samples, card.input.name, integer_io=False
            )
            paths = {label: Path(name, label) for label in files}
            for label, content in files.items():
                paths[label].write_bytes(content)
                operators = read_graph(paths[label]).operators
                rank = max(len(t.shape) for operator in operators for t in operator.outputs)
                transposes = sum(operator.name == "TRANSPOSE" for operator in operators)
                print(
                    f"  {label:<24} {len(content) / 1e6:7.1f} MB  {len(operators):5} operators  "
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
