"""Keep native libraries from writing over the report."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

# Two at once would each take the other's file for the terminal, and the terminal would be lost.
_ONE_AT_A_TIME = threading.RLock()
_DESCRIPTORS = (1, 2)


@contextmanager
def quiet() -> Iterator[None]:
    """Send what the process writes to stdout and stderr, from native code too, to a file that is thrown away.

    For the whole process: other threads that print meanwhile are not seen either, and wait to be quiet themselves.
    """
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as sink, ExitStack() as restoring:
        _flush()
        for descriptor in _DESCRIPTORS:
            try:
                saved = os.dup(descriptor)
            except OSError:  # closed, as in a service
                continue
            restoring.callback(os.close, saved)
            restoring.callback(os.dup2, saved, descriptor)
            os.dup2(sink.fileno(), descriptor)
        restoring.callback(_flush)
        yield


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # full, closed or not there
            stream.flush()
