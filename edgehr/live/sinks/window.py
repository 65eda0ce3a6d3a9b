"""Frames in a window on this machine's screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.live.drawing.canvas import drawable_text
from edgehr.live.sinks.base import Result, StopRequested
from edgehr.live.sources import Frame
from edgehr.opencv import cv2, window_cure

QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27: Escape
MAX_SIZE = (1280, 960)
TRIAL_TIMEOUT_S = 30
TRIAL = "import cv2; cv2.namedWindow('edgehr', cv2.WINDOW_NORMAL); cv2.waitKey(1); cv2.destroyAllWindows()"


class WindowSink:
    """Shows frames. `q`, Escape or closing the window raises `StopRequested`.

    Make and use it in the main thread: some systems allow windows there only.

    Args:
        title: What the window is called.

    Raises:
        EdgehrError: This OpenCV has no windows, or there is no screen.
    """

    def __init__(self, title: str = "edgehr") -> None:
        check_window()
        self._title = drawable_text(title)
        self._open = False

    def write(self, frame: Frame, result: Result | None = None) -> None:
        """Show a frame."""
        if not self._open:
            self._make(frame)
        elif not self._visible():  # `imshow` would make a new one
            raise StopRequested
        cv2.imshow(self._title, frame.image)
        key = cv2.waitKey(1)  # also lets the window system work
        if (key >= 0 and key & 0xFF in QUIT_KEYS) or not self._visible():
            raise StopRequested

    def _visible(self) -> bool:
        try:
            return bool(cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:  # some window systems say so of a window that is gone
            return False

    def _make(self, frame: Frame) -> None:
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        height, width = frame.image.shape[:2]
        scale = min(1.0, MAX_SIZE[0] / width, MAX_SIZE[1] / height)
        cv2.resizeWindow(self._title, max(round(scale * width), 1), max(round(scale * height), 1))
        self._open = True

    def close(self) -> list[Path]:
        """Close the window; it leaves no file."""
        self.discard()
        return []

    def discard(self) -> None:
        """Close the window."""
        if self._open and self._visible():
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)
        self._open = False


def check_window() -> None:
    """Try a window in a process of its own: without a screen, Qt, which pip's OpenCV uses, ends its process.

    Raises:
        EdgehrError: There is no screen, or this OpenCV has no windows.
    """
    command = [sys.executable, "-c", TRIAL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TRIAL_TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise EdgehrError(f"a window did not open in {TRIAL_TIMEOUT_S} s: does the screen answer?") from None
    if done.returncode == 0:
        return
    where = f"this OpenCV ({cv2.__version__}, {Path(cv2.__file__).parent})"
    if "not implemented" in done.stderr:
        raise EdgehrError(f"{where} is built without windows: {window_cure()}")
    raise EdgehrError(f"{where} cannot open a window: is there a screen, and is DISPLAY or WAYLAND_DISPLAY set?")
