"""Finders of people for a calibration set: they find them as they will be found when the model runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.live.predictors.detectors import PersonDetector
from edgehr.live.predictors.pose_sequence import WINDOWS_PER_FRAME
from edgehr.live.predictors.single_person import SinglePerson
from edgehr.runtimes.base import Runtime
from edgehr.tasks.image.reading import Image


@dataclass(frozen=True)
class Finder:
    """Finds the boxes of people in images without annotations.

    Attributes:
        find: (H, W, 3) BGR image -> (N, 4) xyxy boxes in its pixels, N may be 0.
        by: Name of the model, with the SHA-256 of its weights, for the manifest.
    """

    find: Callable[[Image], NDArray[np.float32]]
    by: str


def detector(runtime: Runtime) -> Finder:
    """Find all people by a converted YOLOX detector; raise EdgehrError for another model."""
    detect = PersonDetector(runtime)
    return Finder(lambda image: detect(image).boxes, f"detector {runtime.card.name}, weights {_weights(runtime)}")


def single_person(runtime: Runtime) -> Finder:
    """Find one person in each frame of a video, by the pose model itself, as live pose without a detector does.

    Args:
        runtime: The model in float, in any backend.

    Raises:
        EdgehrError: It is not a pose model.
    """
    card = runtime.card
    follow = SinglePerson(runtime, card, WINDOWS_PER_FRAME)
    return Finder(lambda image: follow(image).boxes, f"single person by {card.name}, weights {_weights(runtime)}")


def _weights(runtime: Runtime) -> str:
    return f"sha256 {runtime.artifact.weights_sha256}" if runtime.artifact else "unknown"
