"""What a quality report says, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.benchmark.timing import Latency
from edgehr.converters.report.layer_error import LayerError
from edgehr.evaluation.base import Agreement, Metrics
from edgehr.evaluation.terms import Terms
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.coverage import Coverage


@dataclass(frozen=True)
class MeasuredArtifact:
    """One artifact with its figures.

    Attributes:
        label: Short and unique in its report.
        path: Its main file.
        artifact: What it says of itself.
        runtime: What it ran on, in words.
        size_bytes: Of all its files.
        operators: How many the file has; None where that cannot be told.
        coverage: Which of them are in INT8; None where that cannot be told.
        accuracy: The task's metrics on the annotated data.
        agreement: With the first artifact; None for that one itself.
        similarity: (samples,) of its results with the first artifact's, NaN where that one finds nothing; all ones for
            that one itself.
        latency: Of one image, in turns with the others.
        compared_with: Label of the float artifact of the same format that `errors` are against; empty where none is.
        errors: Error of each layer.
    """

    label: str
    path: Path
    artifact: Artifact
    runtime: str
    size_bytes: int
    operators: int | None
    coverage: Coverage | None
    accuracy: Metrics
    agreement: Agreement | None
    similarity: NDArray[np.float64]
    latency: Latency
    compared_with: str = ""
    errors: tuple[LayerError, ...] = ()

    @property
    def quantized(self) -> bool:
        """Tell whether something of it is in 8 bits."""
        return self.artifact.precision not in ("fp32", "fp16") or bool(self.coverage and self.coverage.int8_share > 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "label": self.label,
            "path": str(self.path),
            "precision": self.artifact.precision,
            "runtime": self.runtime,
            "weights_sha256": self.artifact.weights_sha256,
            "calibration_sha256": self.artifact.calibration_sha256,
            "tools": dict(self.artifact.tools),
            "size_bytes": self.size_bytes,
            "operators": self.operators,
            "coverage": self.coverage.to_dict() if self.coverage else None,
            "accuracy": self.accuracy.to_dict(),
            "agreement": self.agreement.to_dict() if self.agreement else None,
            "latency": vars(self.latency),
            "compared_with": self.compared_with,
            "layers": [vars(error) for error in self.errors],
        }


@dataclass(frozen=True)
class Picture:
    """One sample (a person, say) with the results of two artifacts over each other.

    Attributes:
        label: Of the second artifact.
        rank: Which of its samples this is, in words: the one that agrees least, ...
        similarity: Of the two results.
        image: Name of the image file.
        jpeg: The picture, encoded.
    """

    label: str
    rank: str
    similarity: float
    image: str
    jpeg: bytes


@dataclass(frozen=True)
class QualityReport:
    """Artifacts of one model beside each other.

    Attributes:
        model: Its name.
        setting: What the figures were taken on and how, by name, in words.
        terms: The task's words for what was measured.
        artifacts: The artifacts, the reference first.
        pictures: Of quantized artifacts, a few samples from the worst to the best.
    """

    model: str
    setting: dict[str, str]
    terms: Terms
    artifacts: tuple[MeasuredArtifact, ...]
    pictures: tuple[Picture, ...] = ()

    @property
    def reference(self) -> MeasuredArtifact:
        """Return what the others are compared with."""
        return self.artifacts[0]

    @property
    def metric(self) -> str:
        """Return the name of the figure of accuracy that is quoted: ``AP``."""
        return next(iter(self.reference.accuracy.figures))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without the pictures."""
        return {"model": self.model, **self.setting, "artifacts": [each.to_dict() for each in self.artifacts]}
