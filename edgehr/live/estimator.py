"""Pose estimation for applications: `edgehr.PoseEstimator`."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.live.detection import Detector
from edgehr.live.sequence import PoseSequence, look
from edgehr.live.single import SinglePerson
from edgehr.live.sources import Source, open_source
from edgehr.live.stats import StageTimes
from edgehr.live.stream import StreamPoses, run
from edgehr.runtimes import Runtime, load
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.task import PoseTask

DETECT_EVERY = 5
MOST_PEOPLE = 20


class PoseEstimator:
    """Finds people in images and estimates their poses.

    Called with an image, it looks at that image alone, and may be called from several threads. For frames that belong
    together use `stream`, or `sequence` where the application has a loop of its own: people keep their ids, keypoints
    are smoothed, and the detector runs only now and then.

    Args:
        model: A converted pose model, or a runtime that is open already (it stays the caller's to close).
        detector: A converted person detector, anything callable that returns `Detections`, or None for one person,
            found without a detector.
        device: Where both run, as for `edgehr.load`.
        threads: Threads of one inference.
        detect_every: In a stream, run the detector on every so many frames; between them people are where their
            keypoints were.
        smooth: In a stream, smooth the keypoints (one-euro filter).
        most_people: How many people are looked at in an image, the surest first.

    Raises:
        EdgehrError: A model cannot be opened, or is not one for pose.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime,
        *,
        detector: str | os.PathLike[str] | Detector | None = None,
        device: str = "auto",
        threads: int | None = None,
        detect_every: int = DETECT_EVERY,
        smooth: bool = True,
        most_people: int = MOST_PEOPLE,
    ) -> None:
        if detect_every < 1 or most_people < 1:
            raise EdgehrError("detect_every and most_people must be at least 1")
        self._own: list[Any] = []
        self.runtime = model if isinstance(model, Runtime) else load(model, device, threads=threads)
        if not isinstance(model, Runtime):
            self._own.append(self.runtime)
        try:
            self.card = self.runtime.card
            self._task = PoseTask(self.card)
            self.detector = self._open_detector(detector, device, threads)
        except BaseException:
            self.close()
            raise
        self.detect_every, self._smooth, self._most = detect_every, smooth, most_people

    def _open_detector(
        self, detector: str | os.PathLike[str] | Detector | None, device: str, threads: int | None
    ) -> Detector | None:
        if detector is None or callable(detector):
            return detector
        from edgehr.live.yolox import YoloxDetector

        runtime = load(detector, device, threads=threads)
        self._own.append(runtime)
        return YoloxDetector(runtime, runtime.card)

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
        found = self.detector(image)
        order = np.argsort(-found.scores, kind="stable")[: self._most]
        return look(self.runtime, self._task, image, found.boxes[order], StageTimes())

    def sequence(self, times: StageTimes | None = None, *, unrelated: bool = False) -> PoseSequence:
        """Follow people through frames that the application feeds: one object a camera.

        Args:
            times: Where stages are noted.
            unrelated: The frames are single pictures after all.
        """
        return PoseSequence(
            self.runtime,
            self.card,
            detects=self.detector is not None,
            smooth=self._smooth,
            most_people=self._most,
            unrelated=unrelated,
            times=times or StageTimes(),
        )

    def stream(
        self, source: str | int | Path | Source, times: StageTimes | None = None
    ) -> Generator[StreamPoses, None, None]:
        """Estimate the poses in every frame of a source, with capture, detection and pose at work at the same time.

        A live source gives its newest frame: if the loop over the results is slow, frames are left out, so that what it
        gets is never old. Of files every frame comes. The order is that of the source. Leaving the loop ends the
        threads.

        Args:
            source: What `edgehr.live.sources.open_source` takes, or an open source.
            times: Where stages are noted.

        Yields:
            Poses with `frame`, the picture that they belong to.
        """
        opened = open_source(source) if isinstance(source, (str, int, Path)) else source
        return run(opened, self, times or StageTimes())

    def close(self) -> None:
        """Release the models that were opened here."""
        for opened in self._own:
            opened.close()
        self._own.clear()

    def __enter__(self) -> PoseEstimator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
