"""A quantized network in the form of a target, in stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from edgehr.calib.mixed_precision.search import search_mixed_precision
from edgehr.calib.quantize import Calibration, quantize
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.calib.recipes import recipe_for
from edgehr.converters.conversion_report import Listener, Report
from edgehr.converters.kept import Kept
from edgehr.converters.onnx.qdq_writer import write_qdq
from edgehr.converters.onnx.stages import simplified_graph
from edgehr.converters.target import Job, Target
from edgehr.errors import EdgehrError

STAGE = "quantize to int8"
SEARCH = "choose what stays in float"
Model = TypeVar("Model")


def int8_graph(job: Job, target: Target, report: Report, listener: Listener | None) -> Any:
    """The ONNX graph with Q/DQ; see `int8_model`."""
    return int8_model(job, target, report, listener, lambda network: write_qdq(network, job.batch))


def int8_model(
    job: Job, target: Target, report: Report, listener: Listener | None, write: Callable[[SimulatedNetwork], Model]
) -> Model:
    """Bring a network into its deploy form, export it, quantize it, and write the result.

    Args:
        job: What is to be converted; the graph gets its batch.
        target: With its calibration set, and the drop that it must keep to; gets the recipe with all that stays in
            float.
        report: Gets the stages, and what share of the network is in INT8.
        listener: Told of them.
        write: Makes what is returned of the quantized network.

    Raises:
        EdgehrError: The network cannot be exported or quantized, or not within the drop.
    """
    if target.calibration is None:
        raise EdgehrError("int8 needs a calibration set")
    recipe = recipe_for(job.card, target.name)
    network = target.network(job, report, listener, recipe.form)
    # With one image sizes are known; the batch is written into the result.
    model, failure = simplified_graph(job, network, 1, report, listener)
    if failure:
        raise EdgehrError(f"{job.card.name}: int8 needs a simplified graph, but {failure}")
    by = Calibration(job.card, job.card.weights.sha256, target.calibration, recipe)
    if target.max_drop:
        by = replace(by, recipe=recipe.for_search())
        with report.stage(SEARCH, listener) as stage:
            choice = search_mixed_precision(model, by, target.max_drop, _teller(SEARCH, listener))
            report.kept = Kept.of(choice)
            stage.detail = report.kept.summary
        report.notes += report.kept.notes
        by = replace(by, recipe=choice.recipe)
    with report.stage(STAGE, listener) as stage:
        quantized = quantize(model, by, _teller(STAGE, listener))
        result = write(quantized)
        stage.detail = f"calibrated on {target.calibration}, recipe {by.recipe.name}"
    report.notes.append(_covered(quantized))
    target.recipe = by.recipe.name
    return result


def _teller(stage: str, listener: Listener | None) -> Callable[[str], None]:
    """Shows what a stage is at without ending it."""

    def tell(what: str) -> None:
        if listener:
            listener(f"{stage}: {what}", None)

    return tell


def _covered(network: SimulatedNetwork) -> str:
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
