"""Signals that ask a command to end, and what is finished in spite of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# SIGTERM comes from service managers and `docker stop`, SIGHUP from a terminal that has gone; Windows has no SIGHUP.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the signals that end a program raise KeyboardInterrupt, as Ctrl-C does, so that files are closed."""
    with _handled(ENDING, signal.default_int_handler):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and the signals that end a program while the block runs: a second one must not cost the result."""
    with _handled((signal.SIGINT, *ENDING), signal.SIG_IGN):
        yield


@contextmanager
def _handled(signals: tuple[signal.Signals, ...], handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """Set handlers, which only the main thread may; what is ignored already (`nohup`) stays so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: old for number in signals if (old := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
