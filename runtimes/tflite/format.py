"""The format `.tflite`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.runtimes.artifact import METADATA_KEY
from edgehr.runtimes.formats import Format, Probe, tensor_entry

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime
    from edgehr.runtimes.coverage import Coverage
    from edgehr.runtimes.tensors import TensorSpec
    from edgehr.runtimes.tflite.graph import Tensor


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

    def _describe_opened(self, path: Path) -> dict[str, Any]:
        # By the types that are in the file, not those that callers see.
        from edgehr.runtimes.tflite.runtime import TFLiteRuntime

        with TFLiteRuntime(path, integers=True) as runtime:

            def entry(spec: TensorSpec) -> dict[str, Any]:
                quantized = runtime.quantization.get(spec.name)
                values = {"scale": quantized.scale, "zero_point": quantized.zero_point} if quantized else {}
                return {**tensor_entry(spec), **values}

            inputs, outputs = ([entry(spec) for spec in specs] for specs in (runtime.inputs, runtime.outputs))
            return self.described(path, runtime.backend, inputs, outputs, runtime.artifact)

    def _read_foreign(self, path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
        from edgehr.runtimes.tflite.container import HASH_KEY, metadata_spans
        from edgehr.runtimes.tflite.graph import read_graph

        try:
            if {METADATA_KEY, HASH_KEY} & set(metadata_spans(path.read_bytes(), str(path))):
                return None
            graph = read_graph(path)
        except (EdgehrError, OSError):
            return None

        def entry(tensor: Tensor) -> dict[str, Any]:
            values = {"scale": tensor.scale, "zero_point": tensor.zero_point} if tensor.scale else {}
            shape = [None if size < 0 else size for size in tensor.shape]
            return {"name": tensor.name, "shape": shape, "dtype": tensor.dtype, **values}

        return [entry(tensor) for tensor in graph.inputs], [entry(tensor) for tensor in graph.outputs]

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
