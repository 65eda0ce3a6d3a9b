"""What is made from an ONNX graph: ONNX, OpenVINO and TensorRT."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from edgehr.converters.conversion_report import Listener, Report
from edgehr.converters.int8 import int8_graph
from edgehr.converters.onnx.float16 import to_fp16
from edgehr.converters.onnx.graph import embed, weight_precision
from edgehr.converters.onnx.qdq import fold_integer_biases
from edgehr.converters.onnx.stages import simplified_graph
from edgehr.converters.source import TorchOrigin
from edgehr.converters.target import Job, Target
from edgehr.errors import EdgehrError
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.library import check_can_build, choose_library
from edgehr.runtimes.tensorrt.make import make_plan
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.runtimes.tensorrt.sidecar import sidecar_path

TOOLS = ("onnx", "onnxsim")


class FromOnnx(Target):
    """A target that starts from a graph.

    Attributes:
        casts_graph: Whether the graph itself must be in the artifact's precision.
    """

    precisions = ("fp32", "fp16", "int8")
    needs_network = False
    casts_graph = True

    @property
    def variant(self) -> str:
        """Also float16 ends."""
        return super().variant + ("-fp16-io" if self.native_io else "")

    def check(self, precision: str, batch: int | None) -> None:
        """Also float16 input and output, which only a graph in float16 has."""
        super().check(precision, batch)
        if self.native_io and not (precision == "fp16" and self.casts_graph):
            raise EdgehrError("float16 input and output need --precision fp16 and a target other than openvino")

    def build(self, job: Job, report: Report, listener: Listener | None) -> Any:
        """Get the graph in this target's form, simplify it and cast it to float16 or quantize it."""
        if job.precision == "int8":
            return int8_graph(job, self, report, listener)
        network = self.network(job, report, listener) if isinstance(job.origin, TorchOrigin) else None
        model, failure = simplified_graph(job, network, job.batch, report, listener)
        if failure:
            report.notes.append(f"kept the unsimplified graph: {failure}")
        if job.precision == "fp16" and self.casts_graph:
            with report.stage("cast to fp16", listener) as stage:
                model, kept = to_fp16(model, job.crops, keep_io=not self.native_io)
                stage.detail = f"{len(kept)} nodes stay in fp32: their values would overflow" if kept else "every node"
        return model


@dataclass
class OnnxTarget(FromOnnx):
    """`.onnx`."""

    name, suffix, tools = "onnx", ".onnx", (*TOOLS, "onnxruntime")
    native_io: bool = False

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write the graph with the description in its metadata."""
        embed(model, artifact)
        onnx.save(model, path)
        report.nodes["artifact"] = len(model.graph.node)
        return weight_precision(onnx.load(path))


class OpenVINOTarget(FromOnnx):
    """`.xml` and `.bin`."""

    name, suffix, tools = "openvino", ".xml", (*TOOLS, "openvino")
    casts_graph = False

    def files(self, path: Path) -> list[Path]:
        """The weights first, so that a new `.xml` never stands beside an old `.bin`."""
        return [path.with_suffix(".bin"), path]

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Convert and write."""
        from edgehr.converters.openvino.compress import slim_model, slim_xml
        from edgehr.converters.openvino.ir import ir_nodes, ir_precision, save_ir, to_ir

        ir = to_ir(model)
        if artifact.precision == "int8":
            slim_model(ir)
        save_ir(ir, path, artifact, fp16_weights=artifact.precision == "fp16")
        if artifact.precision == "int8":
            slim_xml(path)
        report.nodes["artifact"] = ir_nodes(ir)
        return ir_precision(path)


@dataclass
class _GraphTarget(FromOnnx):
    """What is made from an ONNX graph that ONNX Runtime can run in its place."""

    settings: BuildSettings = field(default_factory=BuildSettings)
    native_io: bool = False

    def _bundle(self, model: Any, artifact: Artifact, path: Path) -> Bundle:
        """The bundle to write; its graph is left beside the artifact's temporary file, for `open`."""
        fold_integer_biases(model)
        embed(model, artifact)
        onnx.save(model, _graph_path(path))
        return Bundle(model.SerializeToString(), artifact, self.settings)

    def open(self, path: Path) -> Runtime:
        """ONNX Runtime on the very same graph."""
        return load(_graph_path(path))


@dataclass
class BundleTarget(_GraphTarget):
    """`.trtbundle`: what `edgehr build` makes a TensorRT plan of on the device."""

    name, suffix, tools = "trt-bundle", ".trtbundle", (*TOOLS, "onnxruntime")

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write the bundle."""
        bundle = self._bundle(model, artifact, path)
        bundle.write(path)
        report.nodes["artifact"] = len(model.graph.node)
        return weight_precision(onnx.load_from_string(Bundle.read(path).onnx))


@dataclass
class TensorRTTarget(_GraphTarget):
    """`.plan` and its sidecar, by the TensorRT that is here."""

    name, suffix, tools = "tensorrt", ".plan", TOOLS
    library: str | None = None
    opens_here: bool = field(default=False, init=False)

    def files(self, path: Path) -> list[Path]:
        """The sidecar first: an old plan beside it is refused."""
        return [sidecar_path(path), path]

    def check(self, precision: str, batch: int | None) -> None:
        """Also where no TensorRT here can build."""
        super().check(precision, batch)
        check_can_build(*choose_library(self.library))

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Build and write the plan."""
        library, gpu = choose_library(self.library)
        made = make_plan(self._bundle(model, artifact, path), path, library, gpu)
        self.opens_here = made.opens_here
        report.nodes["parsed network"] = made.plan.layers
        listed = ", ".join(f"{count} {name}" for name, count in made.sidecar.precisions.items())
        ran = "it" if made.opens_here else "the very same graph on ONNX Runtime"
        report.notes += [
            f"built by {library}, {made.sidecar.built_on}",
            f"convolutions by precision: {listed} ({made.sidecar.precision_source})",
            f"compared with {report.reference} by running {ran}",
            *(f"warning: {warning}" for warning in made.plan.warnings[:2]),
        ]
        if gpu is not None and library.is_rtx:
            report.notes.append("there is a GPU here: `tensorrt`, if this environment had it, would build for it")
        return max(made.sidecar.precisions, key=lambda name: made.sidecar.precisions[name])

    def open(self, path: Path) -> Runtime:
        """The plan itself where the GPU here opens it."""
        return load(path) if self.opens_here else super().open(path)


def _graph_path(path: Path) -> Path:
    return path.with_name("graph.onnx")
