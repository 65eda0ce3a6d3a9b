"""TensorRT as a target: plans that are built here, and bundles of which a device builds its own."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from edgehr.converters.onnx.target import GraphTarget
from edgehr.converters.target import Built, Written, open_written
from edgehr.errors import EdgehrError
from edgehr.runtimes.tensorrt.options import add_tensorrt_options, settings_from_options
from edgehr.runtimes.tensorrt.settings import BuildSettings

if TYPE_CHECKING:
    from edgehr.models.deploy.forms import Form
    from edgehr.runtimes import Artifact
    from edgehr.runtimes.tensorrt.bundle import Bundle

P = TypeVar("P", bound="PlanTarget")


@dataclass(frozen=True, kw_only=True)
class PlanTarget(GraphTarget):
    """What a plan is built of, with the settings to build it with.

    Attributes:
        settings: Settings of TensorRT's builder.
    """

    recipe_kind: ClassVar[str] = "symmetric"  # TensorRT has no zero points and no unsigned type
    settings: BuildSettings = field(default_factory=BuildSettings)

    @staticmethod
    def add_options(group: argparse._ActionsContainer) -> list[argparse.Action]:
        """Add the options of TensorRT's builder."""
        return add_tensorrt_options(group)

    @classmethod
    def from_options(cls: type[P], args: argparse.Namespace, **own: Any) -> P:
        """Make a target with the builder's options that were given."""
        if args.profile and args.batch is not None:
            raise EdgehrError("--profile gives the batches of a dynamic model: it needs --batch dynamic")
        return super().from_options(args, settings=settings_from_options(BuildSettings(), args), **own)

    def for_part(self: P) -> P:
        """Return the target of a further graph, whose batch is fixed and needs no profile."""
        return replace(super().for_part(), settings=self.settings.without_profile())

    def form(self) -> Form:
        """Return the form for TensorRT.

        Its parser makes twenty layers of a slice, and its engines grow with the weights, zeros included.
        """
        from edgehr.models.deploy.forms import Form

        return Form(split=True)

    def _bundle(self, built: Built, artifact: Artifact, path: Path) -> tuple[Bundle, Path]:
        """Make the bundle, and write its graph beside the artifact: ONNX Runtime compares the very same one."""
        import onnx

        from edgehr.converters.onnx.graph import described
        from edgehr.converters.tensorrt.graph import fold_integer_biases
        from edgehr.runtimes.tensorrt.bundle import Bundle

        model = described(built.model, artifact)
        fold_integer_biases(model)
        graph = path.with_name(f"{path.stem}.graph.onnx")
        onnx.save(model, graph)
        return Bundle(model.SerializeToString(), artifact, self.settings), graph


@dataclass(frozen=True, kw_only=True)
class BundleTarget(PlanTarget):
    """`.trtbundle`: what `edgehr build` makes a TensorRT plan of on the device."""

    name: ClassVar[str] = "trt-bundle"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxsim", "onnxruntime")

    @classmethod
    def from_options(cls: type[P], args: argparse.Namespace, **own: Any) -> P:
        """Make a target; who builds the plan is not its choice."""
        if args.trt:
            raise EdgehrError("--trt chooses who builds a plan; a bundle is built later: edgehr build BUNDLE --trt ...")
        return super().from_options(args, **own)

    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        """Write the bundle."""
        import onnx

        from edgehr.converters.onnx.graph import weight_precision
        from edgehr.runtimes.tensorrt.bundle import Bundle

        bundle, graph = self._bundle(built, artifact, path)
        bundle.write(path)
        model = onnx.load_from_string(Bundle.read(path).onnx)
        nodes = {"artifact": len(model.graph.node)}
        return Written(weight_precision(model), partial(open_written, graph), nodes=nodes)


@dataclass(frozen=True, kw_only=True)
class TensorRTTarget(PlanTarget):
    """`.plan` and its sidecar, by the TensorRT that is here.

    Attributes:
        library: ``tensorrt`` or ``tensorrt_rtx``; None for what suits here.
    """

    name: ClassVar[str] = "tensorrt"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxsim")
    library: str | None = None

    @classmethod
    def from_options(cls: type[P], args: argparse.Namespace, **own: Any) -> P:
        """Make a target that builds with the TensorRT that was named."""
        return super().from_options(args, library=args.trt, **own)

    def check(self) -> None:
        """Raise EdgehrError for options that cannot be met, and where no TensorRT here can build."""
        from edgehr.runtimes.tensorrt.library import check_can_build, choose_library

        super().check()
        check_can_build(*choose_library(self.library))

    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        """Build and write the plan."""
        from edgehr.runtimes.tensorrt.library import choose_library
        from edgehr.runtimes.tensorrt.make import make_plan

        library, gpu = choose_library(self.library)
        bundle, graph = self._bundle(built, artifact, path)
        made = make_plan(bundle, path, library, gpu)
        precisions = made.sidecar.precisions
        listed = ", ".join(f"{count} {name}" for name, count in precisions.items())
        notes = [
            f"built by {library}, {made.sidecar.built_on}",
            f"convolutions by precision: {listed} ({made.sidecar.precision_source})",
            *(f"warning: {warning}" for warning in made.plan.warnings[:2]),
        ]
        if gpu is not None and library.is_rtx:
            notes.append("there is a GPU here: `tensorrt`, if this environment had it, would build for it")
        return Written(
            max(precisions, key=lambda name: precisions[name]),
            partial(open_written, path if made.opens_here else graph),
            "it" if made.opens_here else "the very same graph on ONNX Runtime",
            {"parsed network": made.plan.layers},
            notes,
        )
