"""Signals that ask a command to end, and what is finished in spite of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# SIGTERM comes from service managers and `docker stop`, SIGHUP from a terminal that has gone; Windows has no SIGHUP.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """A signal asks the program to end: as Ctrl-C does, it unwinds what runs, so that files are closed.

    Attributes:
        status: The exit status by which a shell tells of a program that the signal ended.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the signals that end a program raise `Ended` while the block runs, and Ctrl-C a plain KeyboardInterrupt.

    Libraries may take what a signal raises inside them for a failure of their own, as torch's exporter does. An error
    that comes after a signal is that signal's doing.
    """
    asked: list[KeyboardInterrupt] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(KeyboardInterrupt() if number == signal.SIGINT else Ended(number))
        raise asked[0]

    with _handled((signal.SIGINT, *ENDING), end):
        try:
            yield
        except Exception:
            if asked:
                raise asked[0] from None
            raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and the signals that end a program while the block runs: a second one must not cost the result."""
    with _handled((signal.SIGINT, *ENDING), signal.SIG_IGN):
        yield


@contextmanager
def _handled(signals: tuple[signal.Signals, ...], handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """Set handlers, which only the main thread may.

    What is ignored already (`nohup`) stays so, and what Python did not set, as it could not be set back.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        now = {number: signal.getsignal(number) for number in signals}
        before = {number: old for number, old in now.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
