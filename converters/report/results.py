"""What the conversion report says, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.converters.report.latency import Latency
from edgehr.converters.report.layer_error import LayerError
from edgehr.evaluation.base import Agreement, Metrics
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.coverage import Coverage


@dataclass(frozen=True)
class Column:
    """One artifact.

    Attributes:
        label: Short and unique in its report.
        path: Its main file.
        artifact: What it says of itself.
        runtime: What it ran on, in words.
        size_bytes: Of all its files.
        operators: How many the file has; None where that cannot be told.
        coverage: Which of them are in INT8; None where that cannot be told.
        accuracy: COCO AP and AR, ground-truth boxes, no flip.
        agreement: With the first artifact; None for that one itself.
        similarity: (people,) OKS with the first artifact, NaN where that one sees nobody; all ones for that one itself.
        latency: Of one image, in turns with the others.
        compared_with: Label of the float artifact of the same kind that `errors` are against; empty where none is.
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
        """Whether something of it is in 8 bits."""
        return self.artifact.precision not in ("fp32", "fp16") or bool(self.coverage and self.coverage.int8_share > 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
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
    """A person with the skeletons of two artifacts over each other.

    Attributes:
        label: Of the second artifact.
        rank: Which of its people this is, in words: the one that agrees least, ...
        oks: How far the two agree on that person.
        image: Name of the image file.
        jpeg: The picture, encoded.
    """

    label: str
    rank: str
    oks: float
    image: str
    jpeg: bytes


@dataclass(frozen=True)
class QualityReport:
    """Artifacts of one model beside each other.

    Attributes:
        model: Its name.
        setting: What the figures were taken on and how, by name, in words.
        columns: The artifacts, the reference first.
        pictures: Of quantized artifacts, a few people from the worst to the best.
    """

    model: str
    setting: dict[str, str]
    columns: tuple[Column, ...]
    pictures: tuple[Picture, ...] = ()

    @property
    def reference(self) -> Column:
        """What the others are compared with."""
        return self.columns[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the pictures."""
        return {"model": self.model, **self.setting, "artifacts": [column.to_dict() for column in self.columns]}
