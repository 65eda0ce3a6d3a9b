"""The format `.tflite`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.errors import MissingDependencyError
from edgehr.runtimes.formats import Format, Probe, tensor_entry

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime, TensorSpec
    from edgehr.runtimes.coverage import Coverage


class TFLiteFormat(Format):
    """A FlatBuffer of TFLite's schema, with the artifact's description in its metadata."""

    name = "tflite"
    suffixes = (".tflite",)

    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Open a model in LiteRT or `tflite-runtime`."""
        from edgehr.runtimes.tflite.runtime import TFLiteRuntime

        return TFLiteRuntime(path, device, threads, precision)

    def describe(self, path: Path) -> dict[str, Any]:
        """Describe a model by the types that are in the file, not those that callers see."""
        from edgehr.runtimes.tflite.runtime import TFLiteRuntime

        with TFLiteRuntime(path, integers=True) as runtime:

            def entry(spec: TensorSpec) -> dict[str, Any]:
                quantized = runtime.quantization.get(spec.name)
                values = {"scale": quantized.scale, "zero_point": quantized.zero_point} if quantized else {}
                return {**tensor_entry(spec), **values}

            inputs, outputs = ([entry(spec) for spec in specs] for specs in (runtime.inputs, runtime.outputs))
            return self.described(path, runtime.backend, inputs, outputs, runtime.artifact)

    def operators(self, path: Path) -> dict[str, int] | None:
        """Count the operators of each type; None on old boards: `tflite-runtime` does not show the graph."""
        from edgehr.runtimes.tflite.graph import read_graph

        try:
            return dict(Counter(operator.name for operator in read_graph(path).operators).most_common())
        except MissingDependencyError:
            return None

    def coverage(self, path: Path) -> Coverage:
        """Read which operators compute in INT8."""
        from edgehr.runtimes.tflite.layers import read_coverage

        return read_coverage(path)

    def open_probe(self, path: Path, layers: Iterable[str]) -> Probe:
        """Open a model whose inner tensors can be read, by the names of operators' first outputs."""
        from edgehr.runtimes.tflite.layers import open_probe

        return open_probe(path, layers)


FORMAT = TFLiteFormat()
