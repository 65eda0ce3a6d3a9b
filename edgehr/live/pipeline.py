"""A bounded pipeline: capture, detection and prediction at work on different frames at the same time.

Three threads hand frames on through mailboxes that hold one frame each, so that order is kept and memory is bounded.
Capture is a thread of its own because decoding takes as long as a small network, and detection because it needs nothing
of the frame before. What a live source delivers while the others work is left out; its newest frame is what comes next:
it is fetched only when somebody has time for it, for in a queue it would grow old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from edgehr.live.sources import Frame, Source
from edgehr.live.timing import StageTimes
from edgehr.tasks.image.reading import Image, drawable
from edgehr.tasks.result import TaskResult

T = TypeVar("T")
Found = TypeVar("Found")
Result = TypeVar("Result")


class Closed(Exception):  # noqa: N818 - no error: the other end has gone
    """Nothing more is wanted, or comes."""


class Mailbox(Generic[T]):
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
        """Wait for room, and with `taker` also for a thread that waits for an item; raises Closed as `put` does."""
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
class _Job(Generic[Found]):
    """A frame on its way, with what was found in it if the detector looked.

    `time_s` is the frame's place in time: of a file, where it stands in it, and not when it was read. Results of
    `independent` pictures do not tell it.
    """

    frame: Frame
    time_s: float
    independent: bool = False
    found: Found | None = None


def run_pipeline(
    source: Source,
    predict: Callable[[Image, float, Found | None], Result],
    times: StageTimes,
    *,
    detect: Callable[[Image], Found] | None = None,
    detect_every: int = 1,
) -> Generator[tuple[Frame, Result], None, None]:
    """Start the threads and give a result for each frame; leaving the loop ends them and closes the source.

    Args:
        source: Where the frames come from.
        predict: Called with each image (H, W, 3) BGR, its time in seconds, and what was detected in it; in order, in
            one thread.
        times: Where the stages `capture` and `detect`, the latency of a live source and the rate of frames are noted.
        detect: Called with an image, in a thread of its own; what it returns goes to `predict`.
        detect_every: Detect in every so many frames; `predict` gets None for the others.

    Yields:
        Each frame, with its image as BGR that can be drawn into, and its result, which tells the frame's number and
        time.

    Raises:
        EdgehrError: From the source or what was called, after the results of the frames before.
    """
    live = source.kind == "live"
    captured: Mailbox[_Job[Found]] = Mailbox(newest=False)  # a live source itself keeps its newest, counts the others
    detected: Mailbox[_Job[Found]] = Mailbox(newest=False)
    finished: Mailbox[tuple[Frame, Result]] = Mailbox(newest=live)
    mailboxes: tuple[Mailbox[Any], ...] = (captured, detected, finished)
    threads = [
        _start("capture", captured, lambda: _capture(source, captured, times)),
        _start("detect", detected, lambda: _detect(detect, detect_every, live, captured, detected, times)),
        _start("predict", finished, lambda: _predict(predict, detected, finished)),
    ]
    try:
        while True:
            try:
                frame, result = finished.get()
            except Closed:
                return
            yield frame, result
            times.count_frame()
            if live and frame.time_s:
                times.add("latency", 1000 * (time.monotonic() - frame.time_s))
    finally:
        for mailbox in mailboxes:
            mailbox.end(discard=True)
        source.close()
        for thread in threads:
            thread.join()


def _start(name: str, output: Mailbox[Any], work: Callable[[], None]) -> threading.Thread:
    """Start a thread that ends its mailbox when it ends, with its error if it fails."""

    def guarded() -> None:
        try:
            work()
        except Closed:
            output.end()
        except BaseException as error:
            output.end(error)
        else:
            output.end()

    thread = threading.Thread(target=guarded, name=f"edgehr-{name}", daemon=True)
    thread.start()
    return thread


def _capture(source: Source, output: Mailbox[_Job[Found]], times: StageTimes) -> None:
    frames, pictures = iter(source), source.kind == "images"
    while True:
        if source.kind == "live":
            output.wait(taker=True)
        started = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        times.add("capture", 1000 * (time.perf_counter() - started))
        output.put(_Job(replace(frame, image=drawable(frame.image)), _place_in_time(frame, source), pictures))


def _place_in_time(frame: Frame, source: Source) -> float:
    if frame.position_s is not None:
        return frame.position_s
    return frame.number / source.fps if source.kind == "video" and source.fps else frame.time_s


def _detect(
    detect: Callable[[Image], Found] | None,
    every: int,
    live: bool,
    jobs: Mailbox[_Job[Found]],
    output: Mailbox[_Job[Found]],
    times: StageTimes,
) -> None:
    count = 0
    while True:
        due = detect is not None and count % every == 0
        if live:  # a frame to detect in is worth having early; another would only wait for its prediction
            output.wait(taker=not due)
        job = jobs.get()
        if detect is not None and due:
            with times.measure("detect"):
                job = replace(job, found=detect(job.frame.image))
        count += 1
        output.put(job)


def _predict(
    predict: Callable[[Image, float, Found | None], Result],
    jobs: Mailbox[_Job[Found]],
    output: Mailbox[tuple[Frame, Result]],
) -> None:
    while True:
        job = jobs.get()
        result = predict(job.frame.image, job.time_s, job.found)
        if isinstance(result, TaskResult):
            result = result.at(job.frame.number, None if job.independent else job.time_s)
        output.put((job.frame, result))
