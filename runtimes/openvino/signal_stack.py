"""The stack that handlers of signals run on, kept from OpenVINO."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """Linux's `stack_t`."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give this thread its own alternate signal stack back after the block.

    OpenVINO's CPU plugin sets one for each model that is compiled, and frees it with the model. Where two models are
    closed in the order in which they were opened, a freed one stays set, and the next Ctrl-C ends the process with
    SIGSEGV. Without one, handlers run on the thread's usual stack.
    """
    if sys.platform != "linux":
        yield
        return
    set_stack, before = ctypes.CDLL(None).sigaltstack, _Stack()
    set_stack(None, ctypes.byref(before))
    try:
        yield
    finally:
        set_stack(ctypes.byref(before), None)
