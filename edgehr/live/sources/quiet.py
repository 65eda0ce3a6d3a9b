"""OpenCV without its own warnings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edgehr.opencv import cv2

_lock = threading.Lock()
_depth, _level = 0, 0


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silence OpenCV while a device is opened: where that fails, edgehr says more.

    The level is one for the whole process, so of several threads the last one to leave restores it. Older builds of
    OpenCV cannot be told from Python, and go on warning.
    """
    global _depth, _level
    log = getattr(cv2.utils, "logging", None)
    if log is None:
        yield
        return
    with _lock:
        if not _depth:
            _level = log.setLogLevel(log.LOG_LEVEL_SILENT)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth:
                log.setLogLevel(_level)
