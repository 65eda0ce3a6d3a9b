"""Estimating poses, for applications: `edgehr.PoseEstimator`."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.live.drawing.poses import draw_poses
from edgehr.live.pipeline import run_pipeline
from edgehr.live.predictors.base import Predictor
from edgehr.live.predictors.detectors import Detector, PersonDetector, open_for
from edgehr.live.predictors.packaged import is_packaged
from edgehr.live.predictors.pose_sequence import PoseSequence, estimate_in_boxes
from edgehr.live.predictors.single_person import SinglePerson
from edgehr.live.sources import Frame, Source
from edgehr.live.timing import StageTimes
from edgehr.runtimes import Runtime
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import KeypointSet
from edgehr.tasks.pose.task import PoseTask
from edgehr.zoo import DEFAULT_MODEL

AUTO = "auto"
DETECT_EVERY = 5
MAX_PEOPLE = 20


@dataclass(frozen=True, repr=False)
class StreamPoses(Poses):
    """Poses and the frame they belong to.

    Attributes:
        frame: The picture, as BGR; the consumer's own, to draw into.
    """

    frame: Frame = field(default_factory=lambda: Frame("", np.zeros((0, 0, 3), np.uint8)))


class PoseEstimator(Predictor[PoseTask, Poses]):
    """Finds people in images and estimates their poses.

    Called with an image, it looks at that image alone, and may be called from several threads. For frames that belong
    together use `stream`, or `sequence` where the application has a loop of its own: people keep their ids, keypoints
    are smoothed, and the detector runs only now and then.

    Args:
        model: A converted pose model, or a runtime that is open already (it stays the caller's to close). None takes
            the sample model that ships with edgehr, on the runtime that is installed.
        detector: A converted person detector, the name of a packaged one, anything callable that returns `Detections`,
            or None for one person, found without a detector. By default (``auto``) the packaged detector beside the
            packaged model, and none beside others.
        device: Where both run, as for `edgehr.load`.
        threads: Threads of one inference.
        detect_every: In a stream, run the detector on every so many frames; between them people are where their
            keypoints were.
        smooth: In a stream, smooth the keypoints (one-euro filter).
        max_people: How many people are looked at in an image, the surest first.

    Raises:
        EdgehrError: A model cannot be opened, or is not one for pose.
    """

    found = "people"
    packaged = DEFAULT_MODEL

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime | None = None,
        *,
        detector: str | os.PathLike[str] | Detector | None = AUTO,
        device: str = "auto",
        threads: int | None = None,
        detect_every: int = DETECT_EVERY,
        smooth: bool = True,
        max_people: int = MAX_PEOPLE,
    ) -> None:
        if detect_every < 1 or max_people < 1:
            raise EdgehrError("detect_every and max_people must be at least 1")
        super().__init__(model, PoseTask, device=device, threads=threads)
        self.detect_every, self._smooth, self._max_people = detect_every, smooth, max_people
        if detector == AUTO:
            detector = PersonDetector.packaged if is_packaged(self.runtime) else None
        self.detector = open_for(self, detector, PersonDetector, device=device, threads=threads)

    @property
    def keypoints(self) -> KeypointSet:
        """Tell which keypoints the model finds: their names, and which are joined."""
        return self.task.spec.keypoints

    def __call__(self, image: NDArray[Any]) -> Poses:
        """Estimate the poses in one image.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), of any size.

        Returns:
            Poses of N people, N may be 0; ids are -1.
        """
        image = as_bgr(image)
        if self.detector is None:
            return SinglePerson(self.runtime, self.card)(image)
        found = self.detector(image).surest(self._max_people)
        return estimate_in_boxes(self.runtime, self.task, image, found.boxes, StageTimes())

    def sequence(self, times: StageTimes | None = None, *, independent: bool = False) -> PoseSequence:
        """Follow people through frames that the application feeds: one object a camera.

        Args:
            times: Where stages are noted.
            independent: The frames are single pictures after all, and nobody is followed.
        """
        return PoseSequence(
            self.runtime,
            self.card,
            detects=self.detector is not None,
            smooth=self._smooth,
            max_people=self._max_people,
            independent=independent,
            times=times or StageTimes(),
        )

    def stream(
        self, source: str | int | Path | Source, times: StageTimes | None = None
    ) -> Generator[StreamPoses, None, None]:
        """Estimate the poses in every frame of a source, as `results` does, and give them with their frame.

        Capture, detection and pose are at work at the same time. A live source gives its newest frame: if the loop over
        the results is slow, frames are left out, so that what it gets is never old. Of files every frame comes. The
        order is that of the source. Leaving the loop ends the threads.

        Args:
            source: What `edgehr.open_source` takes, or an open source.
            times: Where stages are noted.

        Yields:
            Poses with `frame`, the picture that they belong to.

        Raises:
            EdgehrError: From the source, the detector or the model, after the results of the frames before.
        """
        return self._stream(self.results(source, times))

    def _stream(self, results: Generator[tuple[Frame, Poses], None, None]) -> Generator[StreamPoses, None, None]:
        with closing(results):
            for frame, poses in results:
                yield StreamPoses(**vars(poses), frame=frame)

    def draw(self, image: NDArray[np.uint8], result: Poses) -> None:
        """Draw skeletons into an image, in place."""
        draw_poses(image, result)

    def _pipeline(self, source: Source, times: StageTimes) -> Generator[tuple[Frame, Poses], None, None]:
        pictures = source.kind == "images"
        every = 1 if pictures else self.detect_every
        sequence = self.sequence(times, independent=pictures)
        return run_pipeline(source, sequence.step, times, detect=self.detector, detect_every=every)
