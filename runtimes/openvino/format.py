"""The format OpenVINO IR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.runtimes.formats import Format, Probe
from edgehr.runtimes.openvino.ir_file import read_ends, read_layers, weights_path

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime
    from edgehr.runtimes.coverage import Coverage


class OpenVINOFormat(Format):
    """A graph in an `.xml` and its weights in the `.bin` beside it."""

    name, title = "openvino", "OpenVINO IR"
    suffixes = (".xml",)

    def files(self, path: Path) -> list[Path]:
        """List the graph and its weights."""
        return [path, weights_path(path)]

    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Open a model in OpenVINO."""
        from edgehr.runtimes.openvino.runtime import OpenVINORuntime

        return OpenVINORuntime(path, device, threads, precision)

    def _read_foreign(self, path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
        return read_ends(path)

    def arithmetic(self) -> tuple[str, ...]:
        """List bf16 where the CPU has it; no artifact promises that."""
        from edgehr.runtimes.openvino.library import ov

        return ("bf16",) if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else ()

    def operators(self, path: Path) -> dict[str, int]:
        """Count the operators of each type, without constants, inputs and outputs."""
        from edgehr.runtimes.openvino.library import FAILURES, ov

        try:
            counts = Counter(node.get_type_name() for node in ov.Core().read_model(str(path)).get_ops())
        except FAILURES:  # it lacks an operator, or the weights
            counts = Counter(layer.get("type", "") for layer in read_layers(path))
        for passive in ("Constant", "Const", "Parameter", "Result"):
            del counts[passive]
        return dict(counts.most_common())

    def coverage(self, path: Path) -> Coverage:
        """Read which operators compute in INT8, by the file and by what the CPU makes of it."""
        from edgehr.runtimes.openvino.layers import read_coverage

        return read_coverage(path)

    def open_probe(self, path: Path, layers: Iterable[str]) -> Probe:
        """Open a model that also returns what these operators return."""
        from edgehr.runtimes.openvino.layers import open_probe

        return open_probe(path, layers)


FORMAT = OpenVINOFormat()
