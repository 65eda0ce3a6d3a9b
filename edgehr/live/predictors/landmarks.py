"""Finding the landmarks of faces, for applications: `edgehr.LandmarkDetector`."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.errors import EdgehrError
from edgehr.live.drawing.landmarks import draw_landmarks
from edgehr.live.pipeline import run_pipeline
from edgehr.live.predictors.base import Predictor
from edgehr.live.predictors.detectors import Detector, FaceDetector, open_for
from edgehr.live.sources import Frame, Source
from edgehr.live.timing import StageTimes
from edgehr.live.tracking.tracker import Tracker
from edgehr.notices import warn_once
from edgehr.runtimes import Runtime
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.image.boxes import as_boxes
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.landmarks.task import LandmarksTask
from edgehr.tasks.pose.spec import KeypointSet

Boxes = NDArray[np.float32]

MAX_FACES = 20
# Detectors box a face from the hair to the chin; data sets of landmarks box what is between eyebrows and chin. Of ten
# faces of WFLW, 300W, COFW and AFLW, the square that the annotations give lies in YuNet's box as follows, in parts of
# its height: center 0.53 to 0.66 from the top, side 0.76 to 1.07.
CENTER, SIDE = 0.6, 0.88
# Mean score of all landmarks under which a face that is followed without a detector's word for it is lost.
LOST = 0.3


class LandmarkDetector(Predictor[LandmarksTask, Landmarks]):
    """Finds faces in images and their landmarks. Calls are safe from several threads.

    In a stream, faces keep their ids and landmarks are smoothed.

    Args:
        model: A converted model for face landmarks, or a runtime that is open already (it stays the caller's to close).
        detector: A converted face detector, anything callable that returns the boxes of faces as `Detections`, or None
            to take the whole image for one face.
        device: Where both run, as for `edgehr.load`.
        threads: Threads of one inference.
        detect_every: In a stream, run the detector on every so many frames; between them faces are where their
            landmarks were.
        smooth: In a stream, smooth the landmarks (one-euro filter).
        max_faces: How many faces are looked at in an image, the surest first.

    Raises:
        EdgehrError: A model cannot be opened, or is not one for its part.
    """

    found = "faces"

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime,
        *,
        detector: str | os.PathLike[str] | Detector | None = None,
        device: str = "auto",
        threads: int | None = None,
        detect_every: int = 1,
        smooth: bool = True,
        max_faces: int = MAX_FACES,
    ) -> None:
        if detect_every < 1 or max_faces < 1:
            raise EdgehrError("detect_every and max_faces must be at least 1")
        super().__init__(model, LandmarksTask, device=device, threads=threads)
        self._detect_every, self._smooth, self._max_faces = detect_every, smooth, max_faces
        self.detector = open_for(self, detector, FaceDetector, device=device, threads=threads)

    @property
    def landmarks(self) -> KeypointSet:
        """Tell which landmarks the model finds: their names, and which are joined to contours."""
        return self.task.spec.keypoints

    def __call__(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> Landmarks:
        """Find the landmarks of the faces in one image.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), of any size.
            boxes: (N, 4) xyxy in image pixels, as data sets box faces, from eyebrows to chin; by default those of the
                detector's faces.

        Returns:
            Landmarks of N faces, N may be 0; ids are -1.

        Raises:
            TensorError: Image or boxes have another form.
        """
        image = as_bgr(image)
        if boxes is None and self.detector is not None:
            boxes = self._chosen(self.detector(image))
        elif boxes is None:
            boxes = _whole(image)
        result: Landmarks = self.task.predict(self.runtime, image, as_boxes(boxes))
        return result

    def draw(self, image: NDArray[np.uint8], result: Landmarks) -> None:
        """Draw landmarks and contours into an image, in place."""
        draw_landmarks(image, result)

    def _chosen(self, found: Detections) -> Boxes:
        return face_boxes(found.surest(self._max_faces).boxes)

    def _pipeline(self, source: Source, times: StageTimes) -> Generator[tuple[Frame, Landmarks], None, None]:
        independent = source.kind == "images"
        tracker = Tracker(smooth=self._smooth)
        followed = np.zeros((0, 4), np.float32)

        def step(image: NDArray[np.uint8], time_s: float, found: Detections | None) -> Landmarks:
            nonlocal followed
            guessed = self.detector is not None and found is None
            boxes = self._chosen(found) if found is not None else followed if guessed else _whole(image)
            with times.measure("landmarks"):
                landmarks = self(image, boxes)
            if guessed:
                landmarks = landmarks[landmarks.scores.mean(axis=1) >= LOST]
            if independent:
                return landmarks
            with times.measure("track"):
                followed = _extents(landmarks)
                return replace(tracker(replace(landmarks, boxes=followed), time_s), boxes=landmarks.boxes)

        every = 1 if independent else self._detect_every
        return run_pipeline(source, step, times, detect=self.detector, detect_every=every)


def face_boxes(boxes: Boxes) -> Boxes:
    """Make boxes as data sets of landmarks have them from a detector's: (N, 4) xyxy pixels both."""
    height = boxes[:, 3] - boxes[:, 1]
    center = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1] + CENTER * height], axis=1)
    half = SIDE / 2 * height[:, None]
    return np.concatenate([center - half, center + half], axis=1).astype(np.float32)


def _extents(landmarks: Landmarks) -> Boxes:
    """Box the landmarks of each face, at least a pixel wide and high."""
    low, high = landmarks.points.min(axis=1), landmarks.points.max(axis=1)
    return np.concatenate([low, np.maximum(high, low + 1)], axis=1)


def _whole(image: NDArray[np.uint8]) -> Boxes:
    warn_once(
        "live",
        "no face detector is given: the whole picture is taken for one face; name one with detector= or --detector",
    )
    return np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
