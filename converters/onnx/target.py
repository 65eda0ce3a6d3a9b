"""ONNX as a target, and what it shares with the targets that are made from a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edgehr.converters.target import Built, Target, Written, open_written
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.converters.conversion_report import Progress
    from edgehr.converters.source import Source
    from edgehr.models.deploy.forms import Form
    from edgehr.runtimes import Artifact
    from edgehr.runtimes.tensors import Tensors


@dataclass(frozen=True, kw_only=True)
class GraphTarget(Target):
    """A target that is made from an ONNX graph.

    Attributes:
        casts_graph: Whether the graph itself must be in the artifact's precision.
    """

    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "int8")
    needs_network: ClassVar[bool] = False
    takes_parts: ClassVar[bool] = True
    casts_graph: ClassVar[bool] = True

    @property
    def variant(self) -> str:
        """Return what the default file name says of the plain form and of float16 input and output."""
        return super().variant + ("-fp16-io" if self.native_io else "")

    def check(self) -> None:
        """Raise EdgehrError for options that cannot be met: only a graph in float16 has float16 input and output."""
        super().check()
        if self.native_io and not (self.precision == "fp16" and self.casts_graph):
            raise EdgehrError("float16 input and output need --precision fp16 and a target other than openvino")

    def build(self, source: Source, samples: Sequence[Tensors], progress: Progress) -> Built:
        """Get the graph in this target's form, simplify it, and cast it to float16 or quantize it."""
        from edgehr.converters.int8 import build_int8
        from edgehr.converters.onnx.float16 import to_fp16
        from edgehr.converters.onnx.qdq_writer import write_qdq
        from edgehr.converters.onnx.simplify import simplified_graph

        if self.precision == "int8":
            return build_int8(self, source, progress, lambda network: write_qdq(network, self.batch))
        network = self.network(source, progress) if source.has_network else None
        graph = simplified_graph(source, network, self.batch, progress)
        model, notes = graph.model, [f"kept the unsimplified graph: {graph.failure}"] if graph.failure else []
        if self.precision == "fp16" and self.casts_graph:
            with progress.stage("cast to fp16") as stage:
                model, wide = to_fp16(model, samples, keep_io=not self.native_io)
                stage.detail = f"{len(wide)} nodes stay in fp32: their values would overflow" if wide else "every node"
        return Built(model, graph.nodes, notes)


@dataclass(frozen=True, kw_only=True)
class OnnxTarget(GraphTarget):
    """`.onnx`."""

    name: ClassVar[str] = "onnx"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxsim", "onnxruntime")
    recipe_kind: ClassVar[str] = "unsigned"

    def form(self) -> Form:
        """Return the form for ONNX Runtime.

        Its CPU kernels take 16 channels in a block, and only if everything around is in blocks too.
        """
        from edgehr.models.deploy.forms import Form

        return Form(defer_weights=True, separate_gates=True, channel_multiple=16)

    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        """Write the graph with the description in its metadata."""
        import onnx

        from edgehr.converters.onnx.graph import weight_precision, write_artifact

        model = write_artifact(built.model, artifact, path)
        nodes = {"artifact": len(model.graph.node)}
        return Written(weight_precision(onnx.load(path)), partial(open_written, path), nodes=nodes)
