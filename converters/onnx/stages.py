"""From a network to its simplified ONNX graph, in the stages that every target shows."""

from __future__ import annotations

from typing import Any

from torch import nn

from edgehr.converters.conversion_report import Listener, Report
from edgehr.converters.onnx.simplify import simplify
from edgehr.converters.target import Job


def simplified_graph(
    job: Job, network: nn.Module | None, batch: int | None, report: Report, listener: Listener | None
) -> tuple[Any, str]:
    """Get a graph and simplify it.

    Args:
        job: What is to be converted.
        network: A form of its network; None for a model that comes as a graph.
        batch: Images per inference; None for any number.
        report: Gets the stages, and how many nodes there were after each.
        listener: Told of them.

    Returns:
        The `onnx.ModelProto`, and why it is not simplified; empty where it is.
    """
    with report.stage(job.origin.step, listener) as stage:
        model = job.origin.graph(batch, network)
        report.nodes["exported"] = len(model.graph.node)
        stage.detail = f"opset {model.opset_import[0].version}, {len(model.graph.node)} nodes, checked"
    with report.stage("simplify", listener) as stage:
        model, failure = simplify(model)
        report.nodes["simplified"] = len(model.graph.node)
        stage.detail = failure or f"{len(model.graph.node)} nodes"
    return model, failure
