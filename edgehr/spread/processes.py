"""Crews of this machine: this process, or several beside it."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import Any

from edgehr.spread.crews import END_S, Crew, Hand
from edgehr.spread.work import Opened, Reply, Server, Work, WorkerLostError, attempt


class OwnProcess(Crew):
    """Works in this process, which needs no other for one piece after the other."""

    threads = None

    def hire(self, work: Work[Any, Any]) -> Hand:
        """Open the work here."""
        return _OwnHand(work)


class _OwnHand(Hand):
    def __init__(self, work: Work[Any, Any]) -> None:
        self._stack = ExitStack()
        self._opened: Opened[Any, Any] = self._stack.enter_context(work.open())
        self.ready = _done(self._opened.about)

    def _submit(self, piece: Any) -> Future[Any]:
        try:
            return _done(self._opened.do(piece))
        except Exception as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed

    def dismiss(self) -> None:
        self._stack.close()


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


class Processes(Crew):
    """Hires processes of this machine, each started anew (spawn): native libraries do not survive a fork.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._context = multiprocessing.get_context("spawn")
        self._threads = ThreadPoolExecutor(2 * size, "edgehr-spread")  # each waits for the answer of a process

    def hire(self, work: Work[Any, Any]) -> Hand:
        """Start a process."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, work), name="edgehr-worker", daemon=True)
        process.start()
        theirs.close()  # else nobody would notice that the process has ended
        return _ProcessHand(process, ours, self._threads)

    def close(self) -> None:
        """End the threads; the processes are dismissed already."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _ProcessHand(Hand):
    def __init__(self, process: Any, connection: Connection, threads: ThreadPoolExecutor) -> None:
        self._process, self._connection, self._threads = process, connection, threads
        self.ready = threads.submit(self._receive)

    def _submit(self, piece: Any) -> Future[Any]:
        return self._threads.submit(self._ask, piece)

    def _ask(self, piece: Any) -> Any:
        try:
            self._connection.send(piece)
        except OSError:
            raise self._lost() from None
        return self._receive()

    def _receive(self) -> Any:
        try:
            reply: Reply = self._connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        return reply.unpack()

    def _lost(self) -> WorkerLostError:
        self._process.join(END_S)
        code = self._process.exitcode
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
        return WorkerLostError(f"a worker process ended {how}")

    def dismiss(self) -> None:
        if self.idle:
            with suppress(OSError):
                self._connection.send(None)  # lets it close what it has open
                self._process.join(END_S)
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(connection: Connection, work: Work[Any, Any]) -> None:
    """Do pieces until None comes, or the process that sends them has ended."""
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; one of them decides
    with ExitStack() as stack:
        server = Server(stack)
        reply = attempt(server.open, work)
        try:
            connection.send(reply)
            while reply.error is None and (piece := connection.recv()) is not None:
                connection.send(attempt(server.do, piece))
        except (EOFError, OSError):
            return
