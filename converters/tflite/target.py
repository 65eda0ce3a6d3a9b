"""TFLite as a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.converters.conversion_report import Listener, Report
from edgehr.converters.int8 import int8_model
from edgehr.converters.onnx.stages import simplified_graph
from edgehr.converters.target import Job, Target
from edgehr.converters.tflite.metadata import embed, operator_counts, read_precision
from edgehr.converters.tflite.static_int8 import quantize_static
from edgehr.converters.tflite.writer import write_float, write_int8
from edgehr.errors import EdgehrError
from edgehr.runtimes.artifact import Artifact

EVERYTHING = "ai-edge-quantizer-static"  # recipe of files that are INT8 throughout


@dataclass
class TFLiteTarget(Target):
    """`.tflite`.

    Attributes:
        channels_last: Input (N, H, W, 3) and output (N, H / 4, W / 4, K), what mobile cameras and delegates want;
            otherwise both channels first.
        native_io: With ``int8``, INT8 input and output, and every operator in INT8, by `ai-edge-quantizer`: for
            accelerators that have nothing else. It costs accuracy.
    """

    name, suffix = "tflite", ".tflite"
    tools = ("onnx", "onnxsim", "ai-edge-quantizer", "ai-edge-litert")
    precisions = ("fp32", "fp16", "dynamic-int8", "int8")
    channels_last: bool = True
    native_io: bool = False

    @property
    def variant(self) -> str:
        """Also layout and integer ends."""
        return super().variant + ("" if self.channels_last else "-nchw") + ("-int8-io" if self.native_io else "")

    def check(self, precision: str, batch: int | None) -> None:
        """Also dynamic batch, which TFLite files have not."""
        super().check(precision, batch)
        if batch is None:
            raise EdgehrError("a TFLite file has a fixed batch: give --batch N")
        if self.native_io and precision != "int8":
            raise EdgehrError("integer input and output need --precision int8")

    def described(self, artifact: Artifact) -> Artifact:
        """Also its layout."""
        artifact = super().described(artifact)
        return replace(artifact, card=artifact.card.with_layout("nhwc" if self.channels_last else "nchw"))

    def build(self, job: Job, report: Report, listener: Listener | None) -> Any:
        """Bring the network into its deploy form, export it, and write it in the wanted precision."""
        card, batch = job.card.with_layout("nhwc" if self.channels_last else "nchw"), job.batch or 1
        if job.precision == "int8" and not self.native_io:
            return int8_model(job, self, report, listener, lambda network: write_int8(network, card, batch))
        network = self.network(job, report, listener)
        model, failure = simplified_graph(job, network, batch, report, listener)
        if failure:
            report.notes.append(f"kept the unsimplified graph: {failure}")
        with report.stage("write the operators of TFLite", listener) as stage:
            content = write_float(Graph(model), card, "fp32" if self.native_io else job.precision)
            stage.detail = f"{sum(operator_counts(content).values())} operators"
        if self.native_io and self.calibration is not None:
            with report.stage("quantize to int8", listener) as stage:
                samples = self.calibration.batches(card, batch)
                content = quantize_static(content, samples, card.input.name, integer_io=True)
                stage.detail, self.recipe = f"every operator, calibrated on {self.calibration}", EVERYTHING
        return content

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write with the description and a hash in the metadata."""
        content = embed(model, artifact)
        path.write_bytes(content)
        report.nodes["artifact"] = sum(operator_counts(content).values())
        return read_precision(path)
