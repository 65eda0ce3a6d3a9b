"""Conversion reports: the stages of a conversion as they run, and its result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgehr.converters.float_blocks import FloatBlocks
    from edgehr.tasks.difference import OutputDifference

_LOG = logging.getLogger("edgehr.convert")

# Called at the start of a stage with its name and None, and at its end with its name and the finished Stage.
Listener = Callable[[str, "Stage | None"], None]


@dataclass
class Stage:
    """One step of a conversion.

    Attributes:
        name: What was done.
        seconds: How long it took.
        detail: What came of it.
    """

    name: str
    seconds: float = 0.0
    detail: str = ""


class Progress:
    """Times the stages of a conversion and tells a listener of each as it starts and ends."""

    def __init__(self, listener: Listener | None = None) -> None:
        self.stages: list[Stage] = []
        self._listener = listener
        self._part = ""

    def of_part(self, name: str) -> Progress:
        """Return the same progress for a part of the model, whose name its stages start with."""
        progress = Progress(self._listener)
        progress.stages, progress._part = self.stages, f"{name}: " if name else ""
        return progress

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a step; the block may set its `detail`."""
        stage = Stage(self._part + name)
        self._tell(stage.name, None)
        _LOG.debug("%s ...", stage.name)
        started = time.perf_counter()
        yield stage
        stage.seconds = time.perf_counter() - started
        self.stages.append(stage)
        self._tell(stage.name, stage)
        _LOG.info("%s: %.1f s, %s", stage.name, stage.seconds, stage.detail or "done")

    def say(self, stage: Stage, what: str) -> None:
        """Tell what a stage that runs is at."""
        self._tell(f"{stage.name}: {what}", None)

    def _tell(self, name: str, stage: Stage | None) -> None:
        if self._listener:
            self._listener(name, stage)


@dataclass
class Report:
    """The result of a conversion.

    Attributes:
        model: Name of the model.
        weights: The checkpoint, and whether it is the sample.
        path: The artifact (for OpenVINO the `.xml`).
        target: ``onnx``, ``openvino``, ...
        reference: What the artifact was compared with, in words.
        precision: As read back from the artifact.
        size_bytes: Of all its files.
        nodes: Operators in the exported graph, after simplification and in the artifact.
        difference: To the reference in float32, on `compared_on`.
        compared_on: What the crops were.
        stages: In order.
        notes: What the user should know besides.
        float_blocks: What stays in float for a limited drop, where one was asked for.
    """

    model: str
    weights: str
    path: Path
    target: str
    reference: str
    precision: str
    size_bytes: int
    nodes: dict[str, int]
    difference: OutputDifference
    compared_on: str
    stages: list[Stage]
    notes: list[str] = field(default_factory=list)
    float_blocks: FloatBlocks | None = None

    @property
    def seconds(self) -> float:
        """Add up the time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            **vars(self),
            "path": str(self.path),
            "difference": self.difference.to_dict(),
            "stages": [vars(stage) for stage in self.stages],
            "seconds": self.seconds,
            "float_blocks": self.float_blocks.to_dict() if self.float_blocks else None,
        }
