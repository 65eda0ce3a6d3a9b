"""OpenVINO, imported without its telemetry.

By itself it reports imports and conversions to a server of its maker's, and ends with a traceback where the user has no
home folder, as in a container that runs under a bare number.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edgehr.dependencies import loading_native, unusable

__all__ = ["FAILURES", "ov", "without_telemetry"]

_TELEMETRY = "openvino_telemetry"
# What its functions raise; the second where a message quotes bytes of a damaged file that are no text.
FAILURES = (RuntimeError, UnicodeDecodeError)


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Let what OpenVINO imports meanwhile find no telemetry; it then does without, as where that is not installed."""
    if _TELEMETRY in sys.modules:  # the application has it in use
        yield
        return
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]


try:
    with without_telemetry(), loading_native():
        import openvino as ov
except Exception as error:  # its Python files may fail in any way
    raise unusable("OpenVINO", "openvino", "openvino", error) from error
