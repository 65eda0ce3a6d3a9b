"""A crew on a Ray cluster: an actor a worker, wherever the cluster has free processors.

Ray says which node is there and starts actors; which piece is tried again is the collector's to decide, as it is for
processes of one machine. A model's file travels through Ray's object store, once for each node: it is small, and so all
workers have the same one. Pictures and videos do not: an archive is larger than the memory of the nodes, and would go
over the network twice. Every node reads them where they are, by the same path.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from concurrent.futures import Future
from contextlib import ExitStack, redirect_stdout, suppress
from typing import Any

from edgehr.dependencies import loading_native, unusable
from edgehr.errors import EdgehrError, first_line
from edgehr.spread.crews import END_S, Crew, Hand
from edgehr.spread.work import Reply, Server, Work, WorkerLostError, attempt

_LOG = logging.getLogger("edgehr.spread")

ANSWER_S = 10.0


def ray_library() -> Any:
    """Import Ray; raises MissingDependencyError where it is not installed or does not load."""
    try:
        with loading_native():
            import ray
    except Exception as error:
        raise unusable("Ray", "ray", "ray", error) from error
    return ray


class RayCrew(Crew):
    """Hires actors of a Ray cluster.

    Args:
        address: ``HOST:PORT`` of the cluster, or ``auto`` for that which this machine belongs to.
        size: How many; None for as many as its processors are enough for.
        threads: Of an inference, and so processors that each takes.

    Raises:
        MissingDependencyError: Ray is not installed.
        EdgehrError: There is no such cluster, or it has no processor.
    """

    elsewhere = True

    def __init__(self, address: str, size: int | None = None, threads: int = 1) -> None:
        self._ray = ray_library()
        self._connected = not self._ray.is_initialized()  # an application may be connected already
        self._stack = ExitStack()
        if self._connected:
            _check_answers(address)
            # What Ray has to say, of lost nodes for one, it prints on standard output, where results belong alone.
            self._stack.enter_context(redirect_stdout(sys.stderr))
            try:
                self._ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
            except Exception as error:  # of Ray, gRPC or the operating system
                self._stack.close()
                problem = first_line(error).partition(". ")[0]
                raise EdgehrError(f"--ray {address}: {problem}: start one with `ray start --head`") from None
        try:
            processors = int(self._ray.cluster_resources().get("CPU", 0)) // threads
            if processors < 1:
                raise EdgehrError(f"--ray {address}: no node of the cluster has {threads} processor(s) for a worker")
        except BaseException:
            self.close()
            raise
        self.size, self.threads = size or processors, threads
        self._actor = self._ray.remote(num_cpus=threads, max_restarts=0)(_Actor)
        self._stored: tuple[Any, Any] | None = None
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        _LOG.info("Ray at %s: %d workers on %d nodes", address, self.size, nodes)

    def hire(self, work: Work[Any, Any]) -> Hand:
        """Ask for an actor, which comes once the cluster has room for it."""
        if self._stored is None or self._stored[0] is not work:
            self._stored = work, self._ray.put(work)
        return _RayHand(self._ray, self._actor.remote(), self._stored[1])

    def close(self) -> None:
        """Leave the cluster, unless the application was connected before."""
        with self._stack:
            if self._connected:
                self._ray.shutdown()


class _Actor:
    """Does pieces in a process of some node. It opens the work in a call of its own, whose errors come back whole."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._server = Server(self._stack)

    def open(self, work: Work[Any, Any]) -> Reply:
        return attempt(self._server.open, work)

    def do(self, piece: Any) -> Reply:
        return attempt(self._server.do, piece)

    def close(self) -> None:
        self._stack.close()


class _RayHand(Hand):
    def __init__(self, ray: Any, actor: Any, work: Any) -> None:
        self._ray, self._actor = ray, actor
        self.ready = self._answer(actor.open.remote(work))

    def _submit(self, piece: Any) -> Future[Any]:
        return self._answer(self._actor.do.remote(piece))

    def _answer(self, reference: Any) -> Future[Any]:
        """Make a future of what a worker replies, or of what Ray says of it."""
        answer: Future[Any] = Future()

        def take(replied: Future[Any]) -> None:
            try:
                reply: Reply = replied.result()
                answer.set_result(reply.unpack())
            except self._ray.exceptions.RayError as error:
                answer.set_exception(WorkerLostError(f"a worker of the cluster ended ({_reason(error)})"))
            except BaseException as error:
                answer.set_exception(error)

        reference.future().add_done_callback(take)
        return answer

    def dismiss(self) -> None:
        if not self._ray.is_initialized():  # it would start a cluster of its own
            return
        if self.idle:
            with suppress(Exception):  # it may have gone meanwhile
                self._ray.get(self._actor.close.remote(), timeout=END_S)
        with suppress(Exception):
            self._ray.kill(self._actor)


def _check_answers(address: str) -> None:
    """Raise EdgehrError where nobody listens at an address: Ray itself would wait for many minutes."""
    host, colon, port = (
        (os.environ.get("RAY_ADDRESS", "") if address == "auto" else address).removeprefix("ray://").rpartition(":")
    )
    if address == "auto" and not colon:
        return
    if not host or not port.isdecimal():
        raise EdgehrError(f"--ray {address}: expected HOST:PORT of a cluster's head, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise EdgehrError(
            f"--ray {address}: nobody answers there ({error}): start a cluster with `ray start`"
        ) from None


def _reason(error: Exception) -> str:
    """Return the line of Ray's message that says most: the last of a traceback, else the first."""
    lines = [line for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    return (lines[-1] if any(line.startswith("Traceback") or "ray::" in line for line in lines) else lines[0]).strip()
