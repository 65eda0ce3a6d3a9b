"""The ONNX graph of a quantised network, in stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edgehr.calib.crops import CalibrationSet
from edgehr.calib.quantise import Calibrated, quantise
from edgehr.calib.recipes import Recipe
from edgehr.calib.sensitivity import Bar, choose_float, no_bar
from edgehr.converters.export import export_onnx
from edgehr.converters.kept import Kept
from edgehr.converters.quality.coverage_onnx import graph_coverage
from edgehr.converters.report import Listener, Report
from edgehr.converters.simplify import simplify
from edgehr.converters.target import Job
from edgehr.converters.write_qdq import write_qdq
from edgehr.errors import EdgehrError
from edgehr.models.deploy import deploy

STAGE = "quantise to int8"
SEARCH = "choose what stays in float"


@dataclass(frozen=True)
class MaxDrop:
    """How much INT8 may lose.

    Attributes:
        most: AP, of 100, on the calibration set; see `edgehr.calib.judge`.
        bar: Shows progress while blocks are measured.
    """

    most: float
    bar: Bar = no_bar


def int8_graph(
    job: Job,
    calibration: CalibrationSet,
    recipe: Recipe,
    report: Report,
    listener: Listener | None,
    drop: MaxDrop | None = None,
) -> tuple[Any, Recipe]:
    """Bring a network into its deploy form, export it, quantise it, and write the result with Q/DQ.

    Args:
        job: What is to be converted; the graph gets its batch.
        calibration: Real crops.
        recipe: How to quantise.
        report: Gets the stages.
        listener: Told of them.
        drop: Keep blocks in float until no more is lost.

    Returns:
        The graph, and the recipe with all that stays in float.

    Raises:
        EdgehrError: The network cannot be exported or quantised, or not within the drop.
    """
    with report.stage("deploy form", listener) as stage:
        network, stage.detail = deploy(job.reference.network)
    with report.stage(job.origin.step, listener) as stage:
        model = export_onnx(network, job.card, 1)  # sizes are known then; the batch is written into the result
        report.nodes["exported"] = len(model.graph.node)
        stage.detail = f"opset {model.opset_import[0].version}, {len(model.graph.node)} nodes, checked"
    with report.stage("simplify", listener) as stage:
        model, failure = simplify(model)
        if failure:
            raise EdgehrError(f"{job.card.name}: int8 needs a simplified graph, but {failure}")
        report.nodes["simplified"] = len(model.graph.node)
        stage.detail = f"{len(model.graph.node)} nodes"
    by = Calibrated(job.card, job.card.weights.sha256, calibration, recipe)
    if drop:
        with report.stage(SEARCH, listener) as stage:
            choice = choose_float(model, by, drop.most, drop.bar, _teller(SEARCH, listener))
            report.kept = Kept.of(choice)
            stage.detail = report.kept.summary
        report.notes += report.kept.notes
        by = replace(by, recipe=choice.recipe)
    with report.stage(STAGE, listener) as stage:
        quantised = write_qdq(quantise(model, by, _teller(STAGE, listener)), job.batch)
        stage.detail = f"calibrated on {calibration}, recipe {by.recipe.name}"
    report.notes.append(_covered(quantised))
    return quantised, by.recipe


def _teller(stage: str, listener: Listener | None) -> Callable[[str], None]:
    """Shows what a stage is at without ending it."""

    def tell(what: str) -> None:
        if listener:
            listener(f"{stage}: {what}", None)

    return tell


def _covered(model: Any) -> str:
    copy = type(model)()
    copy.CopyFrom(model)
    coverage = graph_coverage(copy)
    kept = sum(not layer.int8 for layer in coverage.layers)
    return (
        f"{coverage.int8_share:.1%} of the multiply-adds are in INT8; {kept} of {len(coverage.layers)} convolutions "
        "stay in float"
    )
