"""Cameras and streams, which are opened again when they were lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from edgehr.errors import EdgehrError
from edgehr.live.sources.base import Listener, decoded_image
from edgehr.live.sources.live import Capture
from edgehr.live.sources.quiet import quiet_opencv
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import Image

MIN_PAUSE_S, MAX_PAUSE_S = 0.5, 10.0
# A damaged picture now and then is no lost camera; a stream that ended fails again and again at once.
MAX_FAILURES = 10
GRACE_S = 1.0  # beyond OpenCV's own timeouts, which come first where they work

# A capture, and the first picture that came from it.
Connection = tuple[cv2.VideoCapture, Image]


@dataclass(frozen=True)
class Device:
    """A camera or stream that OpenCV can open.

    Attributes:
        name: What to call it; without passwords.
        address: What OpenCV is given: an index, a file name, a pipeline or an address. May hold a password.
        backend: One of OpenCV's ``CAP_*``.
        tried: How it is opened, for messages.
        advice: Says what to check after it could not be opened.
        parameters: Keys and values in turn, as OpenCV takes them when it opens.
        timeout_s: So long without a picture, it is lost.
    """

    name: str
    address: int | str = field(repr=False)
    backend: int
    tried: str
    advice: Callable[[], str]
    parameters: tuple[int, ...] = ()
    timeout_s: float = 5.0

    def open(self) -> cv2.VideoCapture:
        """Open it; raises EdgehrError with what was tried."""
        capture = None
        # Nothing of an error of OpenCV is shown: it may repeat the address, which may hold a password.
        with suppress(cv2.error), quiet_opencv():
            # OpenCV before 4.7 knows no parameters for some backends, so none is not the same as an empty list.
            extra = (list(self.parameters),) if self.parameters else ()
            capture = cv2.VideoCapture(self.address, self.backend, *extra)
        if capture is None or not capture.isOpened():
            raise EdgehrError(f"{self.name}: cannot be opened (tried {self.tried}): {self.advice()}")
        return capture

    def connect(self) -> Connection:
        """Open it and wait for a first picture.

        Raises:
            EdgehrError: It cannot be opened, gives no picture, or does neither in about `timeout_s` each.
        """
        # A host name that nobody resolves, or a pipeline without its source, blocks in spite of OpenCV's own timeouts.
        # Cameras are left in this thread: some of Windows' belong to the one that opened them.
        if self.backend not in (cv2.CAP_FFMPEG, cv2.CAP_GSTREAMER):
            return self._connect()
        future: Future[Connection] = Future()

        def work() -> None:
            try:
                connection = self._connect()
            except BaseException as error:
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
            else:
                if future.set_running_or_notify_cancel():
                    future.set_result(connection)
                else:  # nobody waits any more
                    connection[0].release()

        thread = threading.Thread(target=work, name=f"edgehr opens {self.name}", daemon=True)
        thread.start()
        thread.join(2 * self.timeout_s + GRACE_S)
        if future.cancel():
            raise EdgehrError(f"{self.name}: does not answer (tried {self.tried}): {self.advice()}")
        return future.result()

    def _connect(self) -> Connection:
        capture = self.open()
        image = None
        try:
            with quiet_opencv():
                image = next(_read(capture, self.timeout_s), None)
        finally:
            if image is None:
                capture.release()
        if image is None:
            raise EdgehrError(f"{self.name}: opens but gives no picture (tried {self.tried}): {self.advice()}")
        return capture, image


def reconnecting(device: Device, first: Connection) -> Capture:
    """Capture from a device, which is opened again whenever it is lost; for `LiveSource`.

    Args:
        device: Where the pictures come from.
        first: Its first connection, taken over from the caller, with the picture that was already read from it.
    """

    def capture(stop: threading.Event, tell: Listener) -> Generator[Image, None, None]:
        connection: Connection | None = first
        pause = MIN_PAUSE_S
        while connection is not None:
            since = time.monotonic()
            yield from _until_lost(*connection, device.timeout_s, stop)
            if stop.is_set():
                return
            if time.monotonic() - since > MAX_PAUSE_S:  # else it keeps falling out: leave it more and more time
                pause = MIN_PAUSE_S
            tell(f"{device.name}: lost; opening it again in {pause:g} s")
            connection, pause = _reconnect(device, pause, stop, tell)

    return capture


def _reconnect(device: Device, pause: float, stop: threading.Event, tell: Listener) -> tuple[Connection | None, float]:
    """Try until it is back, with growing pauses; returns the connection, None if stopped, and the next pause."""
    while not stop.wait(pause):
        pause = min(2 * pause, MAX_PAUSE_S)
        try:
            connection = device.connect()
        except EdgehrError as error:
            tell(f"{error}; next try in {pause:g} s")
        else:
            tell(f"{device.name}: is back")
            return connection, pause
    return None, pause


def _until_lost(
    capture: cv2.VideoCapture, image: Image, timeout_s: float, stop: threading.Event
) -> Generator[Image, None, None]:
    try:
        if not stop.is_set():
            yield image
            for following in _read(capture, timeout_s):
                if stop.is_set():
                    return
                yield following
    finally:
        capture.release()


def _read(capture: cv2.VideoCapture, timeout_s: float) -> Iterator[Image]:
    """Read pictures until too many reads in a row fail, or none comes in time."""
    failures, last = 0, time.monotonic()
    while failures < MAX_FAILURES and time.monotonic() - last < timeout_s:
        there, raw = capture.read()
        image = decoded_image(raw) if there else None
        if image is None:
            failures += 1
        else:
            yield image
            failures, last = 0, time.monotonic()
