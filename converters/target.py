"""What every kind of artifact has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.mixed_precision.search import MaxDrop
from edgehr.card import ModelCard
from edgehr.converters.conversion_report import Listener, Report
from edgehr.converters.source import Origin, TorchOrigin
from edgehr.errors import EdgehrError
from edgehr.models.deploy.forms import FORMS, Form
from edgehr.models.deploy.rewrite import deploy
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.artifact import Artifact


@dataclass(frozen=True)
class Job:
    """What is to be converted.

    Attributes:
        card: The model, channels first.
        origin: What it is converted from.
        precision: The wanted one.
        batch: Images per inference; None for any number.
        crops: Real inputs (N, 3, H, W), to compare on.
    """

    card: ModelCard
    origin: Origin
    precision: str
    batch: int | None
    crops: NDArray[np.float32]

    @property
    def reference(self) -> TorchRuntime:
        """It in PyTorch; raises EdgehrError for a model that comes as ONNX."""
        if not isinstance(self.origin, TorchOrigin):
            raise EdgehrError(f"{self.card.name} comes as {self.origin.name}, not as a PyTorch network")
        return self.origin.reference


class Target(ABC):
    """A kind of artifact.

    Attributes:
        name: As users name it.
        suffix: Of its main file.
        tools: Packages whose versions its artifacts record, besides edgehr and what the origin needs.
        precisions: Those it can be written in.
        needs_network: Whether it starts from the PyTorch network itself, not from its graph.
        native_io: Input and output in the artifact's precision, float16 or INT8, in place of float32.
        plain: The network as it was trained, not in the deploy form.
        calibration: Real crops for ``int8``.
        max_drop: With ``int8``: keep blocks in float until no more is lost.
        recipe: Name of what `build` quantized by.
    """

    name = ""
    suffix = ""
    tools: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32", "fp16")
    needs_network: bool = True
    native_io: bool = False
    plain: bool = False
    calibration: CalibrationSet | None = None
    max_drop: MaxDrop | None = None
    recipe: str = ""

    def files(self, path: Path) -> list[Path]:
        """All files of an artifact, the main one last."""
        return [path]

    @property
    def variant(self) -> str:
        """What the default file name says of settings that make another artifact."""
        return "-plain" if self.plain else ""

    def check(self, precision: str, batch: int | None) -> None:
        """Raise EdgehrError, before any work is done, for what this target cannot do."""
        if precision not in self.precisions:
            raise EdgehrError(
                f"unknown precision {precision!r} for {self.name}: expected one of {', '.join(self.precisions)}"
            )
        if batch is not None and batch < 1:
            raise EdgehrError(f"batch must be at least 1 or dynamic, got {batch}")
        if self.plain and precision == "int8":
            raise EdgehrError("int8 is quantized from the deploy form: leave --plain out, or use another precision")
        if precision == "int8" and self.calibration is None:
            raise EdgehrError(
                "int8 needs real images for the ranges of its activations: --calib with a folder of images, a COCO "
                "keypoint file or a video"
            )

    def network(self, job: Job, report: Report, listener: Listener | None, form: Form | None = None) -> nn.Module:
        """The network in a form, by default this target's; raises EdgehrError for a model that comes as ONNX."""
        network = job.reference.network
        if self.plain:
            return network
        with report.stage("deploy form", listener) as stage:
            network, stage.detail = deploy(network, form or FORMS[self.name])
        return network

    def described(self, artifact: Artifact) -> Artifact:
        """The artifact's description with what this target adds: what it was calibrated with, for one."""
        if self.calibration is None or artifact.precision != "int8":
            return artifact
        return replace(self.calibration.recorded(artifact), recipe=self.recipe)

    @abstractmethod
    def build(self, job: Job, report: Report, listener: Listener | None) -> Any:
        """Make the model in memory, in stages."""

    @abstractmethod
    def write(self, model: Any, artifact: Artifact, path: Path, report: Report) -> str:
        """Write the artifact to `path` and its neighbors; returns the precision found in it."""

    def open(self, path: Path) -> Runtime:
        """Open what was written, or failing that the very same graph, for comparison."""
        return load(path)
