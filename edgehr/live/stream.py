"""A bounded pipeline: capture, detection and pose at work on different frames at the same time.

Three threads hand frames on through slots that hold one frame each, so that order is kept and memory is bounded.
Capture is a thread of its own because decoding takes as long as a small network, and detection because it needs nothing
of the frame before. What a live source delivers while the others work is left out; its newest frame is what comes next:
it is fetched only when somebody has time for it, for in a queue it would grow old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from edgehr.live.detection import Detections
from edgehr.live.sources import Frame, Source
from edgehr.live.sources.base import Kind
from edgehr.live.stats import StageTimes
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.poses import Poses

if TYPE_CHECKING:
    from edgehr.live.estimator import PoseEstimator

T = TypeVar("T")


@dataclass(frozen=True)
class StreamPoses(Poses):
    """Poses and the frame they belong to.

    Attributes:
        frame: The picture, as BGR; the consumer's own, to draw into.
    """

    frame: Frame = field(default_factory=lambda: Frame("", np.zeros((0, 0, 3), np.uint8)))


class Closed(Exception):  # noqa: N818 - no error: the other end has gone
    """Nothing more is wanted, or comes."""


class Slot(Generic[T]):
    """Room for one item between two threads.

    Args:
        newest: Whether a new item takes the place of one that was not fetched; otherwise `put` waits.
    """

    def __init__(self, *, newest: bool) -> None:
        self._newest = newest
        self._changed = threading.Condition()
        self._item: T | None = None
        self._takers = 0
        self._ended = False
        self._error: BaseException | None = None
        self.replaced = 0

    def wait(self, *, taker: bool) -> None:
        """Wait for room, and with `taker` also for somebody who waits for an item; raises Closed as `put` does."""
        with self._changed:
            while not self._ended and (self._item is not None or (taker and not self._takers)):
                self._changed.wait()
            if self._ended:
                raise Closed

    def put(self, item: T) -> None:
        """Hand an item on; raises Closed once the other end has gone."""
        with self._changed:
            while self._item is not None and not self._newest and not self._ended:
                self._changed.wait()
            if self._ended:
                raise Closed
            self.replaced += self._item is not None
            self._item = item
            self._changed.notify_all()

    def get(self) -> T:
        """Fetch the item, waiting for one; raises Closed after the last, or the error that ended the other end."""
        with self._changed:
            self._takers += 1
            self._changed.notify_all()
            while self._item is None and not self._ended:
                self._changed.wait()
            self._takers -= 1
            if self._item is None:
                raise self._error or Closed
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def end(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """Let nothing more in. What is there may still be fetched unless it is to be discarded."""
        with self._changed:
            self._ended, self._error = True, self._error or error
            if discard:
                self._item = None
            self._changed.notify_all()


@dataclass(frozen=True)
class _Job:
    """A frame on its way, with where people are in it if the detector looked.

    `time_s` is the frame's place in time: of a file, where it stands in it, and not when it was read.
    """

    frame: Frame
    time_s: float
    detections: Detections | None = None


def run(source: Source, estimator: PoseEstimator, times: StageTimes) -> Generator[StreamPoses, None, None]:
    """Start the pipeline and give its results; leaving the loop ends it.

    Raises:
        EdgehrError: From the source, the detector or the model, after the results of the frames before.
    """
    live, unrelated = source.kind == "live", source.kind == "images"
    captured: Slot[_Job] = Slot(newest=False)  # a live source keeps its newest frame itself, and counts the others
    detected: Slot[_Job] = Slot(newest=False)
    finished: Slot[StreamPoses] = Slot(newest=live)
    slots: tuple[Slot[Any], ...] = (captured, detected, finished)
    sequence = estimator.sequence(times, unrelated=unrelated)
    threads = [
        _start("capture", _capture, captured, source, captured, times),
        _start("detect", _detect, detected, estimator, source.kind, captured, detected, times),
        _start("pose", _pose, finished, sequence, detected, finished),
    ]
    try:
        while True:
            try:
                poses = finished.get()
            except Closed:
                return
            yield poses
            times.shown()
            if live and poses.frame.time_s:
                times.add("latency", 1000 * (time.monotonic() - poses.frame.time_s))
    finally:
        for slot in slots:
            slot.end(discard=True)
        source.close()
        for thread in threads:
            thread.join()


def _start(name: str, work: Any, output: Slot[Any], *arguments: Any) -> threading.Thread:
    def guarded() -> None:
        try:
            work(*arguments)
        except Closed:
            output.end()
        except BaseException as error:
            output.end(error)
        else:
            output.end()

    thread = threading.Thread(target=guarded, name=f"edgehr-{name}", daemon=True)
    thread.start()
    return thread


def _capture(source: Source, output: Slot[_Job], times: StageTimes) -> None:
    frames = iter(source)
    while True:
        if source.kind == "live":
            output.wait(taker=True)
        started = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        times.add("capture", 1000 * (time.perf_counter() - started))
        time_s = frame.number / source.fps if source.kind == "video" and source.fps else frame.time_s
        output.put(_Job(Frame(frame.name, as_bgr(frame.image), frame.number, frame.time_s), time_s))


def _detect(estimator: PoseEstimator, kind: Kind, jobs: Slot[_Job], output: Slot[_Job], times: StageTimes) -> None:
    count, every = 0, 1 if kind == "images" else estimator.detect_every
    while True:
        looks = estimator.detector is not None and count % every == 0
        if kind == "live":  # a frame to look at is worth having early; another would only wait for its pose
            output.wait(taker=not looks)
        job = jobs.get()
        if estimator.detector is not None and looks:
            with times.measure("detect"):
                job = replace(job, detections=estimator.detector(job.frame.image))
        count += 1
        output.put(job)


def _pose(sequence: Any, jobs: Slot[_Job], output: Slot[StreamPoses]) -> None:
    while True:
        job = jobs.get()
        poses = sequence.step(job.frame.image, job.time_s, job.detections)
        output.put(StreamPoses(poses.boxes, poses.keypoints, poses.scores, poses.ids, job.frame))
