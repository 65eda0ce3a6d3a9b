"""What a graph can be written as."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from edgehr.converters.graph import embed, weight_precision
from edgehr.converters.qdq import fold_integer_biases
from edgehr.converters.report import Report
from edgehr.errors import EdgehrError
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.tensorrt.bundle import SUFFIX, Bundle
from edgehr.runtimes.tensorrt.flavour import check_can_build, choose_flavour
from edgehr.runtimes.tensorrt.make import make_plan
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.runtimes.tensorrt.sidecar import sidecar_path


class Target(ABC):
    """A kind of artifact.

    Attributes:
        name: As users name it.
        suffix: Of its main file.
        tools: Packages whose versions its artifacts record, besides the exporter's.
        casts_graph: Whether the graph itself must be in the artifact's precision.
    """

    name = ""
    suffix = ""
    tools: tuple[str, ...] = ()
    casts_graph = True

    def files(self, path: Path) -> list[Path]:
        """All files of an artifact, the main one last."""
        return [path]

    @abstractmethod
    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write the artifact to `path` and its neighbours; returns the precision found in it."""

    def open(self, path: Path) -> Runtime:
        """Open what was written, or failing that the very same graph, for comparison."""
        return load(path)


class OnnxTarget(Target):
    """`.onnx`."""

    name, suffix, tools = "onnx", ".onnx", ("onnxruntime",)

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write the graph with the description in its metadata."""
        embed(model, artifact)
        onnx.save(model, path)
        report.nodes["artifact"] = len(model.graph.node)
        return weight_precision(onnx.load(path))


class OpenVINOTarget(Target):
    """`.xml` and `.bin`."""

    name, suffix, tools, casts_graph = "openvino", ".xml", ("openvino",), False

    def files(self, path: Path) -> list[Path]:
        """The weights first, so that a new `.xml` never stands beside an old `.bin`."""
        return [path.with_suffix(".bin"), path]

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Convert and write."""
        from edgehr.converters.to_openvino import ir_nodes, ir_precision, save_ir, to_ir

        ir = to_ir(model)
        save_ir(ir, path, artifact, fp16_weights=artifact.precision == "fp16")
        report.nodes["artifact"] = ir_nodes(ir)
        return ir_precision(path)


@dataclass
class _GraphTarget(Target):
    """What is made from an ONNX graph that ONNX Runtime can run in its place."""

    settings: BuildSettings = field(default_factory=BuildSettings)

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

    name, suffix, tools = "trt-bundle", SUFFIX, ("onnxruntime",)

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write the bundle."""
        bundle = self._bundle(model, artifact, path)
        bundle.write(path)
        report.nodes["artifact"] = len(model.graph.node)
        return weight_precision(onnx.load_from_string(Bundle.read(path).onnx))


@dataclass
class TensorRTTarget(_GraphTarget):
    """`.plan` and its sidecar, by the TensorRT that is here."""

    name, suffix = "tensorrt", ".plan"
    flavour: str | None = None
    opens_here: bool = field(default=False, init=False)

    def files(self, path: Path) -> list[Path]:
        """The sidecar first: an old plan beside it is refused."""
        return [sidecar_path(path), path]

    def check(self) -> None:
        """Raise EdgehrError, before any work is done, where no TensorRT here can build."""
        check_can_build(*choose_flavour(self.flavour))

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Build and write the plan."""
        flavour, gpu = choose_flavour(self.flavour)
        made = make_plan(self._bundle(model, artifact, path), path, flavour, gpu)
        self.opens_here = made.opens_here
        report.nodes["parsed network"] = made.plan.layers
        listed = ", ".join(f"{count} {name}" for name, count in made.sidecar.precisions.items())
        report.notes += [
            f"built by {flavour}, {made.sidecar.built_on}",
            f"convolutions by precision: {listed} ({made.sidecar.precision_source})",
            f"compared with PyTorch by running {'it' if made.opens_here else 'the very same graph on ONNX Runtime'}",
            *(f"warning: {warning}" for warning in made.plan.warnings[:2]),
        ]
        if gpu is not None and flavour.is_rtx:
            report.notes.append("there is a GPU here: `tensorrt`, if this environment had it, would build for it")
        return max(made.sidecar.precisions, key=lambda name: made.sidecar.precisions[name])

    def open(self, path: Path) -> Runtime:
        """The plan itself where the GPU here opens it."""
        return load(path) if self.opens_here else super().open(path)


def make_target(name: str, settings: BuildSettings | None = None, flavour: str | None = None) -> Target:
    """A target by name; raises EdgehrError for an unknown one."""
    settings = settings or BuildSettings()
    known: dict[str, Target] = {
        target.name: target
        for target in (OnnxTarget(), OpenVINOTarget(), TensorRTTarget(settings, flavour), BundleTarget(settings))
    }
    if name not in known:
        raise EdgehrError(f"unknown target {name!r}: expected one of {', '.join(known)}")
    return known[name]


def _graph_path(path: Path) -> Path:
    return path.with_name("graph.onnx")
