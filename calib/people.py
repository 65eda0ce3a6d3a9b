"""Finding the people of a calibration set, as they will be found when the model runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.live.predictors.person_detector import PersonDetector
from edgehr.live.predictors.pose_sequence import WINDOWS_PER_FRAME
from edgehr.live.predictors.single_person import SinglePerson
from edgehr.runtimes.base import Runtime
from edgehr.tasks.image.reading import Image


@dataclass(frozen=True)
class Finder:
    """What gives the boxes of people in images that nobody annotated.

    Attributes:
        find: (H, W, 3) BGR image -> (N, 4) xyxy boxes in its pixels, N may be 0.
        by: What it is, with the SHA-256 of its weights, for the manifest.
    """

    find: Callable[[Image], NDArray[np.float32]]
    by: str


def detector(runtime: Runtime) -> Finder:
    """Everybody, by a converted YOLOX detector; raises EdgehrError for another model."""
    card = runtime.card
    detect = PersonDetector(runtime)
    return Finder(lambda image: detect(image).boxes, f"detector {card.name}, weights {_weights(runtime)}")


def single_person(runtime: Runtime) -> Finder:
    """One person in each frame of a video, by the pose model itself: the crop that live pose without a detector takes.

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
