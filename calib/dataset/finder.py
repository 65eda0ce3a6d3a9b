"""Finders of people and faces for a calibration set: they find them as they will be found when the model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgehr.live.predictors.detectors import FaceDetector, PersonDetector
from edgehr.live.predictors.landmarks import face_boxes
from edgehr.live.predictors.pose_sequence import WINDOWS_PER_FRAME
from edgehr.live.predictors.single_person import SinglePerson
from edgehr.runtimes import load
from edgehr.runtimes.base import Runtime
from edgehr.spread.models import SentModel
from edgehr.tasks.detection.spec import FACE, PERSON
from edgehr.tasks.image.reading import Image


@dataclass(frozen=True)
class Finder:
    """Finds the boxes of people, or of faces, in images without annotations.

    Attributes:
        find: (H, W, 3) BGR image -> (N, 4) xyxy boxes in its pixels, N may be 0.
        by: Name of the model, with the SHA-256 of its weights, for the manifest.
        runtime: The model; None where there is none.
    """

    find: Callable[[Image], NDArray[np.float32]]
    by: str
    runtime: Runtime | None = None


# Opens a finder where it is needed, which may be another process or machine: it can be pickled.
OpenFinder = Callable[[], AbstractContextManager[Finder]]


def detector(runtime: Runtime, holds: str = PERSON) -> Finder:
    """Find all people, or all faces in boxes as data sets of landmarks have them, by a converted detector.

    Args:
        runtime: The detector.
        holds: What boxes are to hold, see `Task.boxes_hold`.

    Raises:
        EdgehrError: The model is no detector of these.
    """
    by = f"detector {runtime.card.name}, weights {_weights(runtime)}"
    if holds == FACE:
        find = FaceDetector(runtime)
        return Finder(lambda image: face_boxes(find(image).boxes), by, runtime)
    detect = PersonDetector(runtime)
    return Finder(lambda image: detect(image).boxes, by, runtime)


@contextmanager
def open_detector(model: SentModel, holds: str = PERSON, threads: int | None = None) -> Iterator[Finder]:
    """Open a converted detector as a finder, while the block runs.

    Args:
        model: The detector.
        holds: As for `detector`.
        threads: Threads of one inference; None leaves it to the runtime.

    Raises:
        EdgehrError: It cannot be opened, or is no detector of these.
    """
    with model.there() as path, load(path, threads=threads) as runtime:
        yield detector(runtime, holds)


def single_person(runtime: Runtime) -> Finder:
    """Find one person in each frame of a video, by the pose model itself, as live pose without a detector does.

    Args:
        runtime: The model in float, in any backend.

    Raises:
        EdgehrError: It is not a pose model.
    """
    card = runtime.card
    follow = SinglePerson(runtime, card, WINDOWS_PER_FRAME)
    by = f"single person by {card.name}, weights {_weights(runtime)}"
    return Finder(lambda image: follow(image).boxes, by, runtime)


def _weights(runtime: Runtime) -> str:
    return f"sha256 {runtime.artifact.weights_sha256}" if runtime.artifact else "unknown"
