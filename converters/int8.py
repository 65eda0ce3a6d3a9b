"""INT8 builds: a network in the form of a target, exported, quantized, and written down by the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgehr.calib.mixed_precision.search import search_mixed_precision
from edgehr.calib.quantize import Calibration, quantize
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.calib.recipes import recipe_for
from edgehr.card import ModelCard
from edgehr.converters.conversion_report import Progress
from edgehr.converters.float_blocks import FloatBlocks
from edgehr.converters.onnx.simplify import simplified_graph
from edgehr.converters.source import Source
from edgehr.converters.target import Built, Target
from edgehr.errors import EdgehrError

# (architecture, variant, target) -> what its INT8 costs where float costs less; "" is any (docs/quantization.md)
_COSTS = {
    ("lite_hrnet", "lite", "tflite"): (
        "on ARM (Cortex-A76) this INT8 executes 1.12 times the instructions of fp32, and fp16 0.72: convert with "
        "--precision fp16 if speed counts"
    ),
    ("lite_hrnet", "lite", "openvino"): (
        "on x86 CPUs this INT8 takes 1.34 times as long as fp32: convert with --precision fp32 if speed counts"
    ),
    ("lite_hrnet", "lite", "onnx"): (
        "on ONNX Runtime's CPU provider this INT8 takes 2.3 times as long as fp32: convert with --precision fp32 if "
        "speed counts"
    ),
}
# Of all networks: what it costs on another kind of processor.
_COSTS_ELSEWHERE = {
    "openvino": (
        "on ARM (Cortex-A76) OpenVINO executes 16 times the instructions of fp32 for this INT8: convert for it "
        "with --precision fp16, or to tflite"
    )
}


def cost_notes(card: ModelCard, target: str) -> list[str]:
    """Say where INT8 of a model costs more than float on what a target runs on, and what to take instead."""
    found = (
        _COSTS.get((card.architecture, str(card.parameters.get("variant", "")), target)),
        _COSTS_ELSEWHERE.get(target),
    )
    return [note for note in found if note]


def build_int8(
    target: Target, source: Source, progress: Progress, assemble: Callable[[SimulatedNetwork], Any]
) -> Built:
    """Bring a network into the form of its recipe, export it, quantize it, and assemble the result.

    Args:
        target: With its calibration set, and the drop that it must keep to.
        source: What is converted.
        progress: Gets the stages.
        assemble: Makes the target's model of the quantized network.

    Raises:
        EdgehrError: The network cannot be exported or quantized, or not within the drop.
    """
    card = source.card
    if target.calibration is None:
        raise EdgehrError("int8 needs a calibration set")
    recipe = recipe_for(card, target.recipe_kind)
    network = target.network(source, progress, recipe.form)
    # With one image sizes are known; the batch is written into the result.
    graph = simplified_graph(source, network, 1, progress)
    if graph.failure:
        raise EdgehrError(f"{card.name}: int8 needs a simplified graph, but {graph.failure}")
    by = Calibration(card, card.weights.sha256, target.calibration, recipe)
    blocks = None
    if target.max_drop:
        with progress.stage("choose what stays in float") as stage:
            choice = search_mixed_precision(graph.model, by, target.max_drop, lambda what: progress.say(stage, what))
            blocks = FloatBlocks.of(choice)
            stage.detail = blocks.summary
        by = replace(by, recipe=choice.recipe)
    with progress.stage("quantize to int8") as stage:
        quantized = quantize(graph.model, by, lambda what: progress.say(stage, what))
        model = assemble(quantized)
        stage.detail = f"calibrated on {target.calibration}, recipe {by.recipe.name}"
    notes = [*(blocks.notes if blocks else ()), _covered(quantized), *cost_notes(card, target.name)]
    return Built(model, graph.nodes, notes, by.recipe.name, blocks)


def _covered(network: SimulatedNetwork) -> str:
    """Say what share of a network is in INT8."""
    graph, placement = network.graph, network.placement
    macs = sum(graph.multiply_adds(operator) for operator in graph.convolutions)
    kept = sum(operator.name in placement.float_data for operator in graph.convolutions)
    words = (
        f"{placement.int8_multiply_adds(graph) / macs:.1%} of the multiply-adds are in INT8; {kept} of "
        f"{len(graph.convolutions)} convolutions stay in float"
    )
    for names, what in ((placement.split, "have split activations"), (placement.dynamic, "have dynamic ranges")):
        words += f", {len(names)} {what}" if names else ""
    return words
