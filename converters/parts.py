"""Models of several graphs: their files, and the real inputs of graphs that others feed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from edgehr.converters.source import Source
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors

MAIN = ""  # what stands for the name of a model's main graph


def graphs_of(source: Source) -> dict[str, Source]:
    """List the graphs of a model by name, the parts first, so that the main one can refer to their files."""
    return {**source.parts, MAIN: source}


def record_inputs(reference: Runtime, run: Callable[[Runtime], object]) -> dict[str, list[Tensors]]:
    """Record what the parts of a model are fed while the whole is run.

    Args:
        reference: The model.
        run: Runs it on real inputs.

    Returns:
        The inputs of each inference, by the name of the part.
    """
    recorders = {name: _Recorder(part) for name, part in reference.parts.items()}
    parts: Mapping[str, Runtime] = dict(reference.parts)
    reference.parts.update(recorders)
    try:
        run(reference)
    finally:
        reference.parts.update(parts)
    return {name: recorder.inputs_seen for name, recorder in recorders.items()}


class _Recorder(Runtime):
    """Runs another runtime and keeps what it was fed."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime.inputs, runtime.outputs, path=runtime.path, artifact=runtime.artifact)
        self.inputs_seen: list[Tensors] = []
        self._runtime = runtime

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        self.inputs_seen.append({name: array.copy() for name, array in inputs.items()})
        return self._runtime.infer(inputs)
