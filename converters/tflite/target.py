"""TFLite as a target."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from edgehr.converters.target import Built, Target, Written, open_written
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.card import ModelCard
    from edgehr.converters.conversion_report import Progress
    from edgehr.converters.source import Source
    from edgehr.runtimes import Artifact
    from edgehr.runtimes.tensors import Tensors

EVERYTHING = "ai-edge-quantizer-static"  # recipe of files that are INT8 throughout
HALF = ("fp16", "int8")  # precisions whose files may be computed in half precision
F = TypeVar("F", bound="TFLiteTarget")


@dataclass(frozen=True, kw_only=True)
class TFLiteTarget(Target):
    """`.tflite`.

    With ``int8``, `native_io` makes input, output and every operator INT8, by `ai-edge-quantizer`: for accelerators
    that have nothing else. It costs accuracy.

    Attributes:
        layout: ``nhwc`` takes (N, H, W, 3) and returns (N, H / 4, W / 4, K), what mobile cameras and delegates want;
            ``nchw`` has both channels first.
        float16_arithmetic: With ``fp16``, and with ``int8`` for what stays in float, let CPUs that can compute in half
            precision do so, as most phones and a Raspberry Pi 5 can; otherwise all CPUs compute in float32.
        arm_cpu: With float16 arithmetic, pad tensors row by row: faster on those CPUs, slower on x86, and an operator
            more for GPUs.
    """

    name: ClassVar[str] = "tflite"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxsim", "ai-edge-quantizer", "ai-edge-litert")
    packages: ClassVar[tuple[str, ...]] = ("ai_edge_litert", "ai_edge_quantizer")
    extra: ClassVar[str] = "convert-tflite"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "dynamic-int8", "int8")
    needs_network: ClassVar[bool] = False
    takes_parts: ClassVar[bool] = True
    recipe_kind: ClassVar[str] = "kernels"

    layout: str = "nhwc"
    float16_arithmetic: bool = True
    arm_cpu: bool = False

    @staticmethod
    def add_options(group: argparse._ActionsContainer) -> list[argparse.Action]:
        """Add layout and integer input and output."""
        return [
            group.add_argument(
                "--layout", choices=["nhwc", "nchw"], help="of input and output (default: nhwc, channels last)"
            ),
            group.add_argument("--int8-io", action="store_true", help="with int8: INT8 input and output too"),
            group.add_argument(
                "--float32-arithmetic",
                action="store_true",
                help="with fp16 or int8: compute in float32 on CPUs that have half precision, too",
            ),
            group.add_argument(
                "--arm-cpu",
                action="store_true",
                help="with fp16 or int8: for ARM CPUs with half precision; on x86 such files take 1.2 times as long",
            ),
        ]

    @classmethod
    def from_options(cls: type[F], args: argparse.Namespace, **own: Any) -> F:
        """Make a target; it has no float16 input and output."""
        if args.fp16_io:
            raise EdgehrError("a TFLite file takes float32, or INT8 with --int8-io: --fp16-io goes with other targets")
        if args.float32_arithmetic and args.precision not in HALF:
            raise EdgehrError(f"--float32-arithmetic goes with --precision {' or '.join(HALF)}: others use no float16")
        own |= {"native_io": args.int8_io, "float16_arithmetic": not args.float32_arithmetic, "arm_cpu": args.arm_cpu}
        return super().from_options(args, layout=args.layout or "nhwc", **own)

    @property
    def variant(self) -> str:
        """Return what the default file name says of the plain form, the layout, integer ends, and CPUs."""
        words = {"nchw": self.layout == "nchw", "int8-io": self.native_io, "arm": self.arm_cpu}
        return super().variant + "".join(f"-{word}" for word, applies in words.items() if applies)

    def check(self) -> None:
        """Raise EdgehrError for options that cannot be met: the batch of a file is fixed, for one."""
        super().check()
        if self.batch is None:
            raise EdgehrError("a TFLite file has a fixed batch: give --batch N")
        if self.native_io and self.precision != "int8":
            raise EdgehrError("integer input and output need --precision int8")
        if self.arm_cpu and not self.computes_in_half:
            raise EdgehrError(
                f"--arm-cpu goes with --precision {' or '.join(HALF)}, and without --float32-arithmetic and --int8-io"
            )

    @property
    def computes_in_half(self) -> bool:
        """Tell whether CPUs may compute what is in float in half precision."""
        return self.float16_arithmetic and self.precision in HALF and not self.native_io

    def described(self, card: ModelCard) -> ModelCard:
        """Return the card with the layout of the artifact."""
        return card.with_layout(self.layout)

    def for_part(self: F) -> F:
        """Return the target of a further graph: it takes what the task makes, in its order of dimensions."""
        part = super().for_part()
        precision = "dynamic-int8" if self.precision == "int8" else part.precision
        return replace(part, layout="nchw", precision=precision)

    def build(self, source: Source, samples: Sequence[Tensors], progress: Progress) -> Built:
        """Bring the network into its deploy form, export it, and make a file of it in the wanted precision."""
        from edgehr.calib.quantizer.graph.onnx_graph import Graph
        from edgehr.converters.int8 import build_int8
        from edgehr.converters.onnx.simplify import simplified_graph
        from edgehr.converters.tflite.metadata import operator_counts
        from edgehr.converters.tflite.static_int8 import quantize_static
        from edgehr.converters.tflite.writer import write_float, write_int8
        from edgehr.tasks.base import Task

        card, batch = self.described(source.card), self.batch or 1
        unchanged = Task.for_card(card).channels_last_outputs()
        if self.precision == "int8" and not self.native_io:
            return build_int8(self, source, progress, lambda network: write_int8(network, card, batch, unchanged))
        network = self.network(source, progress) if source.has_network else None
        graph = simplified_graph(source, network, batch, progress)
        notes = [f"kept the unsimplified graph: {graph.failure}"] if graph.failure else []
        with progress.stage("write the operators of TFLite") as stage:
            weights = "fp32" if self.native_io else self.precision
            content = write_float(Graph(graph.model), card, weights, unchanged)
            stage.detail = f"{sum(operator_counts(content).values())} operators"
        if not self.native_io or self.calibration is None:
            return Built(content, graph.nodes, notes)
        with progress.stage("quantize to int8") as stage:
            crops = self.calibration.batches(card, batch)
            content = quantize_static(content, crops, card.input.name, integer_io=True)
            stage.detail = f"every operator, calibrated on {self.calibration}"
        return Built(content, graph.nodes, notes, recipe=EVERYTHING)

    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        """Write with the description and a hash in the metadata."""
        from edgehr.converters.tflite.metadata import embed, operator_counts, read_precision
        from edgehr.converters.tflite.rewrite import pad_rows

        model = pad_rows(built.model) if self.arm_cpu else built.model
        content = embed(model, artifact, float16_arithmetic=self.computes_in_half)
        path.write_bytes(content)
        nodes = {"artifact": sum(operator_counts(content).values())}
        return Written(read_precision(path), partial(open_written, path), nodes=nodes)
