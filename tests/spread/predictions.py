"""An evaluation's work, of which a test knows how far it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgehr.evaluation.pieces import Images, Prediction
from edgehr.spread import Opened


@dataclass(frozen=True)
class NotedPrediction(Prediction):
    """Notes in a folder which workers have opened the model."""

    folder: Path = Path()

    @contextmanager
    def open(self) -> Iterator[Opened[Images, list[Any]]]:
        with super().open() as opened:
            (self.folder / f"ready-{os.getpid()}").touch()
            yield opened
