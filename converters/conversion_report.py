"""What a conversion did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgehr.converters.kept import Kept
from edgehr.tasks.difference import OutputDifference

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
        kept: What stays in float for a limited drop, where one was asked for.
    """

    model: str
    weights: str
    path: Path
    target: str
    reference: str = "PyTorch"
    precision: str = ""
    size_bytes: int = 0
    nodes: dict[str, int] = field(default_factory=dict)
    difference: OutputDifference | None = None
    compared_on: str = ""
    stages: list[Stage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: Kept | None = None

    @property
    def seconds(self) -> float:
        """Time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            **vars(self),
            "path": str(self.path),
            "difference": self.difference.to_dict() if self.difference else None,
            "stages": [vars(stage) for stage in self.stages],
            "seconds": self.seconds,
            "kept": self.kept.to_dict() if self.kept else None,
        }

    @contextmanager
    def stage(self, name: str, listener: Listener | None) -> Iterator[Stage]:
        """Time a step; the block may set its `detail`."""
        stage = Stage(name)
        if listener:
            listener(name, None)
        started = time.perf_counter()
        yield stage
        stage.seconds = time.perf_counter() - started
        self.stages.append(stage)
        if listener:
            listener(name, stage)
