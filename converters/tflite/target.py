"""TFLite as a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgehr.converters.conversion_report import Listener, Report
from edgehr.converters.int8 import int8_model
from edgehr.converters.target import Job, Target
from edgehr.converters.tflite import precision as tflite_precision
from edgehr.converters.tflite.from_torch import to_tflite
from edgehr.converters.tflite.metadata import embed, operator_counts, read_precision
from edgehr.converters.tflite.rewrite import rewrite
from edgehr.converters.tflite.writer import write_tflite
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
    tools = ("litert-torch", "litert-converter", "ai-edge-quantizer", "ai-edge-litert")
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
        """Bring the network into its deploy form, convert it, and lower its precision."""
        card = job.card.with_layout("nhwc" if self.channels_last else "nchw")
        if job.precision == "int8" and not self.native_io:
            return int8_model(
                job, self, report, listener, lambda network: rewrite(write_tflite(network, card, job.batch or 1))
            )
        network = self.network(job, report, listener)
        with report.stage("convert to TFLite", listener) as stage:
            content = rewrite(to_tflite(network, card, job.batch or 1))
            stage.detail = f"{sum(operator_counts(content).values())} operators"
        if job.precision == "fp32":
            return content
        with report.stage(f"quantize to {job.precision}", listener) as stage:
            if job.precision == "fp16":
                content, stage.detail = tflite_precision.half_weights(content), "float16 weights"
            elif job.precision == "dynamic-int8":
                content, stage.detail = tflite_precision.dynamic_range(content), "INT8 weights"
            elif self.calibration is not None:
                samples = self.calibration.batches(card, job.batch or 1)
                content = tflite_precision.full_integer(content, samples, card.input.name, integer_io=True)
                stage.detail, self.recipe = f"every operator, calibrated on {self.calibration}", EVERYTHING
        return content

    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write with the description and a hash in the metadata."""
        content = embed(model, artifact)
        path.write_bytes(content)
        report.nodes["artifact"] = sum(operator_counts(content).values())
        return read_precision(path)
