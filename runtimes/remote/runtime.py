"""A model on a server."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.remote.address import RemoteAddress
from edgehr.runtimes.remote.client import Client
from edgehr.runtimes.remote.description import read_description
from edgehr.runtimes.remote.library import import_utils
from edgehr.runtimes.remote.request import Outputs, Request
from edgehr.runtimes.remote.shared import SharedMemory, is_forgotten, open_shared_memory
from edgehr.runtimes.tensors import Tensors

_LOG = logging.getLogger("edgehr.runtimes")

# Many servers refuse larger messages than gRPC's own limit, 4 MiB, and tell nobody.
MESSAGE_BYTES = 4 * 1024 * 1024 - 65536
AT_ONCE = 32
TRIES = 3  # of an inference in memory that a server, started anew, does not know


class RemoteRuntime(Runtime):
    """Runs a model on a server that speaks the Open Inference Protocol.

    Several inferences of `infer_async`, of several threads, and of one `infer_batch` are under way at once; the server
    decides how it runs them. After the server was away, the next call finds it again.

    Args:
        address: Which server and model, with options.
        device: Must be ``auto``: the server decides where the model runs.
        threads: Has no effect: the server decides.
        precision: Must be None: the server computes as it was set up.

    Raises:
        ArtifactError: The model's description is damaged, or the server serves something else.
        MissingDependencyError: tritonclient is not installed.
        EdgehrError: The server does not answer, refuses, or has no such model.
    """

    backend = "remote"

    def __init__(
        self, address: RemoteAddress, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> None:
        self.address = address
        if device != "auto":
            raise EdgehrError(f"{address}: the server decides where the model runs: leave the device {device!r} away")
        if precision is not None:
            raise EdgehrError(f"{address}: the server decides how it computes: leave the precision away")
        if threads is not None:
            _LOG.info("%s: the server decides how many threads an inference has, not %d", address, threads)
        self._client = open_client(address)
        try:
            found = read_description(self._client)
            self._shared = open_shared_memory(self._client, found.extensions)
        except BaseException:
            self._client.close()
            raise
        self.server, self.version = found.server, found.version
        self._datatypes = {spec.name: import_utils().np_to_triton_dtype(spec.dtype) for spec in found.inputs}
        self._room = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(
            found.inputs,
            found.outputs,
            artifact=found.artifact,
            device=address.where,
            precision=found.artifact.precision if found.artifact else "",
            batch_range=(1, found.max_batch),
        )
        # Connections and memory that nobody closed would be complained of when the interpreter ends.
        self._release = weakref.finalize(self, _release, self._shared, self._client)
        way = "shared memory" if self._shared else "the connection"
        _LOG.info("%s: served by %s, tensors go through %s", address, self.server, way)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address})"

    @property
    def shares_memory(self) -> bool:
        """Tell whether tensors go through memory that the server shares."""
        return self._shared is not None

    def require_artifact(self) -> Artifact:
        """Return what the model says of itself; raises ArtifactError where the server carries nothing of it."""
        if self.artifact is None:
            raise ArtifactError(
                f"{self.address}: was not converted by edgehr, or its server does not carry the model's description: "
                "give the edgehr.json that `edgehr export-repository` wrote, as ?card=FILE"
            )
        return self.artifact

    def infer_async(self, inputs: Tensors) -> Future[dict[str, NDArray[Any]]]:
        """Start an inference on the server; see `Runtime.infer_async`. Waits where many are under way already."""
        self._check(inputs)
        future: Future[dict[str, NDArray[Any]]] = Future()
        future.set_running_or_notify_cancel()
        self._room.acquire()
        try:
            with self._state:
                self._refuse_closed()
                self._under_way += 1
        except BaseException:
            self._room.release()
            raise
        try:
            self._start(inputs, future, TRIES)
        except BaseException:
            self._ended()
            raise
        return future

    def _start(self, inputs: Tensors, future: Future[dict[str, NDArray[Any]]], tries: int) -> None:
        request = self._request(inputs)

        def done(answer: Future[Any]) -> None:  # in a thread of the library, which must not wait
            try:
                found = request.read(answer.result())
                request.close()
                self._end(future, found)
            except BaseException as error:
                request.close(error)
                if tries > 1 and is_forgotten(error):
                    arguments = (inputs, future, tries - 1)
                    threading.Thread(target=self._start_anew, args=arguments, name="edgehr-remote-again").start()
                else:
                    self._end(future, error)

        self._client.start(request.inputs, request.outputs).add_done_callback(done)

    def _start_anew(self, inputs: Tensors, future: Future[dict[str, NDArray[Any]]], tries: int) -> None:
        try:
            self._forget_regions()
            self._start(inputs, future, tries)
        except BaseException as error:
            self._end(future, error)

    def _end(self, future: Future[dict[str, NDArray[Any]]], result: dict[str, NDArray[Any]] | BaseException) -> None:
        self._ended()
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)

    def _ended(self) -> None:
        self._room.release()
        with self._state:
            self._under_way -= 1
            self._state.notify_all()

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        for _ in range(TRIES - 1):
            try:
                return self._infer_once(inputs)
            except EdgehrError as error:
                if not is_forgotten(error):
                    raise
            self._forget_regions()
        return self._infer_once(inputs)

    def _infer_once(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        request = self._request(inputs)
        try:
            found = request.read(self._client.infer(request.inputs, request.outputs))
        except BaseException as error:
            request.close(error)
            raise
        request.close()
        return found

    def _infer_each(self, inputs: Sequence[Tensors]) -> list[dict[str, NDArray[Any]]]:
        if len(inputs) < 2:
            return super()._infer_each(inputs)
        return [future.result() for future in [self.infer_async(each) for each in inputs]]

    def infer_batch(self, batch: NDArray[Any], limit: int = 32) -> dict[str, NDArray[Any]]:
        """Run any number of items, in several requests at once; see `Runtime.infer_batch`."""
        if self.inputs[0].shape[0] is None and isinstance(batch, np.ndarray) and batch.size:
            limit = min(limit, max(1, MESSAGE_BYTES // batch[:1].nbytes))
        return super().infer_batch(batch, limit)

    def _request(self, inputs: Tensors) -> Request:
        batched = self.batch_range[1] is not None  # then the first size of every tensor is that of the batch
        outputs = Outputs(self.outputs, batched, self.version)
        return Request(self._client, self._shared, self._datatypes, outputs, inputs)

    def _forget_regions(self) -> None:
        if self._shared is not None:
            self._shared.forget()

    def _close(self) -> None:
        self._release()


def open_client(address: RemoteAddress) -> Client:
    """Open the client for an address. Nothing is sent before it is asked.

    Raises:
        MissingDependencyError: tritonclient is not installed.
        EdgehrError: A file that the address names cannot be read.
    """
    if address.is_grpc:
        from edgehr.runtimes.remote.grpc_client import GrpcClient

        return GrpcClient(address)
    from edgehr.runtimes.remote.http_client import HttpClient

    return HttpClient(address)


def _release(shared: SharedMemory | None, client: Client) -> None:
    if shared is not None:
        shared.close()
    client.close()
