"""TensorRT and TensorRT-RTX."""

from __future__ import annotations

import logging
import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensorrt.cuda import call, cudart, find_gpu
from edgehr.runtimes.tensorrt.engine import make_context, open_engine
from edgehr.runtimes.tensorrt.library import import_library
from edgehr.runtimes.tensorrt.profiling import profile_context
from edgehr.runtimes.tensorrt.request import InferRequest
from edgehr.runtimes.tensorrt.sidecar import check_gpu, check_library, read_plan, read_sidecar
from edgehr.runtimes.tensors import OperatorTime, Tensors, TensorSpec

CONCURRENCY = 2

_LOG = logging.getLogger("edgehr.runtimes")


class TensorRTRuntime(Runtime):
    """Runs plans of `tensorrt` and `tensorrt_rtx`.

    Each concurrent caller has an execution context, a CUDA stream and pinned buffers of its own; they are made when
    first needed and kept until `close`.

    Args:
        path: The plan, with its sidecar (`.json`) beside it.
        device: ``auto``, ``gpu`` or ``cuda:N``.
        threads: Must be None: the work is done on the GPU.
        precision: Must be None: the precision is in the plan.
        cuda_graph: Record an inference as a CUDA graph once and replay it, which saves the launches of hundreds of
            small kernels. With `tensorrt` for static shapes only; `tensorrt_rtx` records by itself.

    Raises:
        ArtifactError: No sidecar, or the plan does not match it, the library or the GPU. Nothing was deserialized.
        EdgehrError: There is no GPU; the message says what is missing.
    """

    backend = "tensorrt"

    def __init__(
        self,
        path: Path,
        device: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
        *,
        cuda_graph: bool = False,
    ) -> None:
        if threads is not None or precision is not None:
            raise EdgehrError(
                "a TensorRT plan takes neither threads nor a precision: both are settled when it is built"
            )
        sidecar = read_sidecar(path)
        data = read_plan(path, sidecar)
        index = _device_index(device)
        library = import_library(sidecar.library)
        check_library(path, sidecar, library.name, library.version)
        search = find_gpu(index)
        if search.gpu is None:
            raise EdgehrError(f"{path}: cannot run a plan here: {search.problem} (see: edgehr doctor)")
        check_gpu(path, sidecar, search.gpu)
        _LOG.debug(
            "%s: %s %s on %s; file, library and GPU are those of its sidecar",
            path,
            library.name,
            library.version,
            search.gpu,
        )

        self._index = index
        self._library = library
        call(cudart().cudaSetDevice, index)
        self._runtime, self._engine = open_engine(data, library, sidecar.settings)
        self._graph = cuda_graph
        self._requests: list[InferRequest] = []
        self._free: deque[InferRequest] = deque()
        self._making = threading.Lock()
        inputs, outputs = self._read_tensors()
        if cuda_graph and not library.is_rtx and any(None in spec.shape for spec in inputs):
            raise ArtifactError(f"{path}: a CUDA graph needs static shapes, but this plan's batch is dynamic")
        super().__init__(
            inputs,
            outputs,
            path=path,
            artifact=sidecar.artifact,
            device=str(search.gpu),
            precision=max(sidecar.precisions, key=lambda name: sidecar.precisions[name], default=""),
            concurrency=CONCURRENCY,
            batch_range=(sidecar.settings.min_batch, sidecar.settings.max_batch) if sidecar.profiles else (1, None),
        )

    def _read_tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        trt = self._library.trt
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            shape = tuple(None if size == -1 else int(size) for size in self._engine.get_tensor_shape(name))
            dtype = np.dtype(trt.nptype(self._engine.get_tensor_dtype(name)))
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (inputs if is_input else outputs).append(TensorSpec(name, shape, dtype))
        return inputs, outputs

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        call(cudart().cudaSetDevice, self._index)  # CUDA keeps this for each thread
        try:
            request = self._free.pop()
        except IndexError:
            with self._making:  # contexts of one engine are made one at a time
                request = self._make_request()
                self._requests.append(request)
        try:
            return request.infer(inputs)
        finally:
            self._free.append(request)

    def _make_request(self) -> InferRequest:
        context = make_context(self._engine, self._library, cuda_graph=self._graph)
        use_graph = self._graph and not self._library.is_rtx
        return InferRequest(self._engine, context, self.inputs, self.outputs, use_graph=use_graph)

    def _profile(self, inputs: Tensors, runs: int) -> list[OperatorTime]:
        call(cudart().cudaSetDevice, self._index)
        with self._making:  # never as a CUDA graph, which has no layers
            context = make_context(self._engine, self._library, cuda_graph=False)
            request = InferRequest(self._engine, context, self.inputs, self.outputs, use_graph=False)
        try:
            return profile_context(self._library.trt, context, lambda: request.infer(inputs), runs)
        finally:
            request.close()

    def _close(self) -> None:
        call(cudart().cudaSetDevice, self._index)
        for request in self._requests:
            request.close()
        self._requests.clear()
        self._free.clear()
        del self._engine, self._runtime  # the engine first


def _device_index(device: str) -> int:
    name = device.lower()
    if name in ("auto", "gpu", "cuda"):
        return 0
    if name.startswith("cuda:") and name[5:].isdigit():
        return int(name[5:])
    raise EdgehrError(f"TensorRT has no device {device!r}: expected auto, gpu or cuda:N")
