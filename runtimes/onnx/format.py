"""The format `.onnx`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.runtimes.artifact import METADATA_KEY
from edgehr.runtimes.formats import Format, Probe

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime
    from edgehr.runtimes.coverage import Coverage


class OnnxFormat(Format):
    """An ONNX graph, with the artifact's description in its metadata. ONNX Runtime runs it; `onnx` shows its graph."""

    name = "onnx"
    suffixes = (".onnx",)
    graph_packages = ("onnx",)

    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Open a graph in ONNX Runtime."""
        from edgehr.runtimes.onnx.runtime import OnnxRuntime

        return OnnxRuntime(path, device, threads, precision)

    def _read_foreign(self, path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
        try:
            import onnx

            model = onnx.load(path, load_external_data=False)
        except Exception:  # it is not installed, or protobuf cannot read the file, which is an error without a base
            return None
        if not model.graph.output or any(entry.key == METADATA_KEY for entry in model.metadata_props):
            return None
        constants = {tensor.name for tensor in model.graph.initializer}

        def entry(value: Any) -> dict[str, Any]:
            kind = value.type.WhichOneof("value") or "unknown"
            tensor = value.type.tensor_type
            name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
            dtype = {"float": "float32", "double": "float64"}.get(name, name)
            shape = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
            return {"name": value.name, "shape": shape, "dtype": dtype if kind == "tensor_type" else kind}

        return (
            [entry(value) for value in model.graph.input if value.name not in constants],
            [entry(value) for value in model.graph.output],
        )

    def operators(self, path: Path) -> dict[str, int] | None:
        """Count the nodes of each type; None where `onnx` is not installed: ONNX Runtime does not show the graph."""
        try:
            import onnx
        except ImportError:
            return None
        graph = onnx.load(path, load_external_data=False).graph
        return dict(Counter(node.op_type for node in graph.node).most_common())

    def coverage(self, path: Path) -> Coverage:
        """Read which nodes compute in INT8."""
        from edgehr.runtimes.onnx.layers import read_coverage

        return read_coverage(path)

    def open_probe(self, path: Path, layers: Iterable[str]) -> Probe:
        """Open a graph that also returns what these nodes return."""
        from edgehr.runtimes.onnx.layers import open_probe

        return open_probe(path, layers)


FORMAT = OnnxFormat()
