"""Live sources: a thread reads, and whoever takes frames gets the newest."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

from edgehr.live.sources.base import Frame, Kind, Listener, file_stem
from edgehr.tasks.image.reading import Image

# Gives pictures until the event is set; tells what a user should know. It runs in the source's thread and lets go of
# its device when it ends.
Capture = Callable[[threading.Event, Listener], Generator[Image, None, None]]

# After so long without a picture or a message, the capture is stuck inside a driver.
MAX_SILENCE_S = 30.0


class LiveSource:
    """Keeps only the newest picture of a capture.

    Someone who takes frames slowly never gets an old one: frames nobody took are dropped and counted. Frames never
    change their order, and their numbers count the dropped ones as well.

    Args:
        name: What to call it; without passwords.
        capture: Gives the pictures.
        listener: Is told what happens; called from the source's thread.
        fps: Frames per second, 0 if unknown.
        path: The file the pictures come from, if any.
        patience_s: The longest that the capture may need to stop; `close` waits for it.

    Raises:
        EdgehrError: While iterating, whatever the capture raises.
    """

    kind: Kind = "live"
    count = 0

    def __init__(
        self,
        name: str,
        capture: Capture,
        listener: Listener,
        fps: float = 0.0,
        path: Path | None = None,
        patience_s: float = 15.0,
    ) -> None:
        self.name, self.fps, self.path = name, fps, path
        self.dropped = 0
        self._capture, self._listener, self._patience_s = capture, listener, patience_s
        self._stem = path.stem if path else file_stem(name)
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._captured = 0
        self._iterated = self._ended = False
        self._error: BaseException | None = None
        self._last_sign_s = time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read. Iterating does so too; started earlier, a device's buffers do not fill with old frames."""
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(target=self._read, name=f"edgehr {self.name}", daemon=True)
            self._thread.start()
            # A thread inside OpenCV while the interpreter goes down can take the process with it.
            atexit.register(self.close)

    def __iter__(self) -> Iterator[Frame]:
        with self._changed:
            if not self._iterated:  # what came while nobody was there yet is neither wanted nor missed
                self._iterated = True
                self._newest, self._captured, self.dropped = None, 0, 0
        self.start()
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        """Wait for the next picture; None at the end."""
        with self._changed:
            while self._newest is None and not self._ended and not self._stop.is_set():
                self._changed.wait(MAX_SILENCE_S)
                self._complain()
            if self._stop.is_set():
                return None
            frame, self._newest = self._newest, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def _complain(self) -> None:
        if not self._stop.is_set() and time.monotonic() - self._last_sign_s >= MAX_SILENCE_S:
            self._tell(
                f"{self.name}: no sign of life for {MAX_SILENCE_S:.0f} s; its driver blocks, so edgehr has to wait"
            )

    def _read(self) -> None:
        try:
            with closing(self._capture(self._stop, self._tell)) as images:
                for image in images:
                    self._put(image)
        except Exception as error:  # for whoever takes the frames; there is nobody above this thread
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, image: Image) -> None:
        with self._changed:
            self._last_sign_s = time.monotonic()
            self.dropped += self._newest is not None
            name = f"{self._stem}-{self._captured:06d}.jpg"
            self._newest = Frame(name, image, self._captured, self._last_sign_s)
            self._captured += 1
            self._changed.notify_all()

    def _tell(self, message: str) -> None:
        self._last_sign_s = time.monotonic()
        self._listener(message)

    def close(self) -> None:
        """End the iteration at once, then wait until the device is free: as long as a read or an opening may take."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is None or self._thread is threading.current_thread():
            return
        self._thread.join(self._patience_s)
        if self._thread.is_alive():
            self._listener(f"{self.name}: its driver does not return; the device stays taken until the program ends")
        atexit.unregister(self.close)
