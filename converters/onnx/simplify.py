"""Simplifying graphs with onnxsim, in a child process, because it is native code that has been seen to crash."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import onnx
from torch import nn

from edgehr.converters.conversion_report import Progress
from edgehr.converters.onnx.graph import check_onnx, strip_traces
from edgehr.converters.source import Source
from edgehr.errors import EdgehrError
from edgehr.files import temporary_folder

TIMEOUT_S = 300
# It imports PyTorch for things that are not needed here, which takes longer than all else that it does.
_RUN = "import sys; sys.modules['torch'] = None; from onnxsim import main; main()"


@dataclass(frozen=True)
class SimplifiedGraph:
    """The graph of a source.

    Attributes:
        model: An `onnx.ModelProto`.
        nodes: How many nodes there were after each step.
        failure: Why it is not simplified; empty where it is.
    """

    model: Any
    nodes: dict[str, int]
    failure: str


def simplified_graph(
    source: Source, network: nn.Module | None, batch: int | None, progress: Progress
) -> SimplifiedGraph:
    """Get the graph of a source and simplify it.

    Args:
        source: What is converted.
        network: A form of its network; None for a model that comes as a graph.
        batch: Images per inference; None for any number.
        progress: Gets the stages.
    """
    with progress.stage(source.step) as stage:
        model = source.graph(batch, network)
        exported = len(model.graph.node)
        stage.detail = f"opset {model.opset_import[0].version}, {exported} nodes, checked"
    with progress.stage("simplify") as stage:
        model, failure = simplify(model)
        simplified = len(model.graph.node)
        stage.detail = failure or f"{simplified} nodes"
    return SimplifiedGraph(model, {"exported": exported, "simplified": simplified}, failure)


def simplify(model: Any) -> tuple[Any, str]:
    """Simplify a graph.

    Returns:
        The simplified model and an empty string; or, if onnxsim fails, the model unchanged and why.
    """
    with temporary_folder() as folder:
        source, target = folder / "in.onnx", folder / "out.onnx"
        onnx.save(model, source)
        command = [sys.executable, "-c", _RUN, str(source), str(target)]
        try:
            child = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            return model, f"onnxsim took more than {TIMEOUT_S} s"
        if child.returncode or not target.is_file():
            lines = child.stderr.strip().splitlines()
            return model, f"onnxsim ended with status {child.returncode} ({lines[-1] if lines else 'no message'})"
        try:
            simplified = onnx.load(target)
            strip_traces(simplified)
            check_onnx(simplified)
        except (EdgehrError, ValueError) as error:
            return model, f"onnxsim wrote an unusable graph ({error})"
    return simplified, ""
