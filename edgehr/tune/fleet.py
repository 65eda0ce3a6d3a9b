"""Search for many machines at once: each has its own search, and all share the workstation."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, count
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from edgehr.benchmark.fleet import Told, ask_fleet
from edgehr.benchmark.remote import Remote
from edgehr.errors import EdgehrError
from edgehr.progress import Progress, ProgressBar, no_bar
from edgehr.spread import Crew
from edgehr.tune.results import TuneReport
from edgehr.tune.search import search
from edgehr.tune.workstation import Request, Workstation

T = TypeVar("T")


def tune_fleet(
    request: Request,
    remotes: Sequence[Remote],
    bar: ProgressBar = no_bar,
    tell: Callable[[str], None] = lambda line: None,
    crew: Crew | None = None,
) -> list[Told[TuneReport]]:
    """Search on each machine as `tune` does; one that fails costs its own answer alone.

    Machines race at the same time as far as `ask_fleet` lets them. What one of them needs converted or evaluated is
    there for the others. Each has a choice of its own, see `choice_names`.

    Args:
        request: What to search for.
        remotes: The machines.
        bar: Shows progress of an evaluation.
        tell: Told what is being done for which machine, and how long that machine's search will take.
        crew: Who evaluates; this process, by default.

    Raises:
        EdgehrError: The images cannot be read.
    """
    desk = _Desk()
    workstation = Workstation(request, bar, crew, desk.have_done)
    names = dict(zip(map(id, remotes), choice_names([remote.where for remote in remotes]), strict=True))

    def ask(remote: Remote) -> TuneReport:
        where = remote.where
        try:
            remote.check()
            return search(
                workstation, remote.bench, where, lambda line: tell(f"{where}: {line}"), f"{names[id(remote)]}.tuned"
            )
        except EdgehrError as error:
            tell(f"{where}: failed: {str(error).removeprefix(f'{where}: ')}")
            raise

    with ThreadPoolExecutor(1, "edgehr-fleet") as thread:
        told = thread.submit(ask_fleet, remotes, ask, Progress())
        told.add_done_callback(lambda _: desk.close())
        try:
            desk.serve()
        except BaseException:
            for remote in remotes:
                remote.stop()
            desk.close()
            raise
    return told.result()


def choice_names(machines: Sequence[str]) -> list[str]:
    """Make a name for the files of each machine's choice: its own, as far as a file can have it."""
    names: list[str] = []
    for machine in machines:
        plain = re.sub(r"[^\w.@]+", "-", machine).strip("-.") or "machine"
        choices = chain([plain], (f"{plain}_{number}" for number in count(2)))
        taken = {name.lower() for name in names}  # some disks do not tell case
        names.append(next(name for name in choices if name.lower() not in taken))
    return names


class _Desk:
    """Does what other threads ask for, one thing after the other, in the thread that serves it.

    Conversions and evaluations take all cores, and an interrupt from the keyboard ends only what the main thread does.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._due: Future[Any] | None = None  # of the call that is made
        self._closed = False

    def have_done(self, call: Callable[[], T]) -> T:
        """Have a call made, and return what it returns; raises EdgehrError where nobody serves any more."""
        done: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise EdgehrError("stopped")
            self._asked.put((call, done))
        return done.result()

    def serve(self) -> None:
        """Make the calls, until it is closed."""
        while (asked := self._asked.get()) is not None:
            call, self._due = asked
            try:
                result = call()
            except Exception as error:
                self._due.set_exception(error)
            else:
                self._due.set_result(result)

    def close(self) -> None:
        """End the serving; who still waits is told so."""
        with self._lock:
            self._closed = True
            waiting = [self._due] if self._due else []
            with suppress(Empty):
                while asked := self._asked.get_nowait():
                    waiting.append(asked[1])
            for done in waiting:
                if not done.done():
                    done.set_exception(EdgehrError("stopped"))
            self._asked.put(None)
