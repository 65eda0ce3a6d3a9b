"""Inference requests: what one caller at a time needs to run an engine."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError
from edgehr.runtimes.tensorrt.cuda import PinnedBuffer, call, cudart
from edgehr.runtimes.tensors import Tensors, TensorSpec


class InferRequest:
    """An execution context with a stream and pinned buffers. Serves one caller at a time.

    Args:
        engine: A deserialized engine.
        context: An execution context of it, for this request alone.
        inputs: Its inputs.
        outputs: Its outputs.
        use_graph: Record the first inference as a CUDA graph and replay it (static shapes only).
    """

    def __init__(
        self,
        engine: Any,
        context: Any,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        use_graph: bool,
    ) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._context = context
        self._use_graph = use_graph
        self._graph: Any = None
        self._buffers: dict[str, PinnedBuffer] = {}
        # Non-blocking: the application's work on CUDA's default stream neither waits for it nor breaks a recording.
        self._stream = call(cudart().cudaStreamCreateWithFlags, cudart().cudaStreamNonBlocking)
        self._largest: dict[str, tuple[Any, ...]] = {}
        try:
            for spec in inputs:
                dynamic = None in spec.shape
                largest = engine.get_tensor_profile_shape(spec.name, 0)[2] if dynamic else spec.shape
                self._largest[spec.name] = tuple(largest)
            # Only an engine's first context has a profile from the start.
            if any(None in spec.shape for spec in inputs) and not context.set_optimization_profile_async(
                0, int(self._stream)
            ):
                raise EdgehrError("TensorRT cannot select the plan's optimization profile")
            call(cudart().cudaStreamSynchronize, self._stream)
            self._allocate()
        except BaseException:
            self.close()
            raise

    def infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Copy in, run, copy out, wait; the arrays returned belong to the caller."""
        for spec in self._inputs:
            array = inputs[spec.name]
            if any(size > largest for size, largest in zip(array.shape, self._largest[spec.name], strict=True)):
                raise TensorError(f"{spec.name} {array.shape} is beyond the plan's profile, {self._largest[spec.name]}")
            self._set_shape(spec, array.shape)
            np.copyto(self._buffers[spec.name].array(array.shape, spec.dtype), array)
        shapes = {spec.name: tuple(self._context.get_tensor_shape(spec.name)) for spec in self._outputs}
        sizes = {name: array.nbytes for name, array in inputs.items()}
        try:
            if self._graph is not None:
                call(cudart().cudaGraphLaunch, self._graph, self._stream)
            else:
                self._enqueue(sizes, shapes)
        finally:  # also after a failure: copies that were started still use the buffers
            call(cudart().cudaStreamSynchronize, self._stream)
        if self._use_graph and self._graph is None:  # the first, ordinary run has set everything up
            self._use_graph = self._record(sizes, shapes)
        return {
            spec.name: self._buffers[spec.name].array(shapes[spec.name], spec.dtype).copy() for spec in self._outputs
        }

    def close(self) -> None:
        """Release everything."""
        runtime = cudart()
        self._context = None  # before what it works with
        if self._graph is not None:
            runtime.cudaGraphExecDestroy(self._graph)
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()
        if self._stream is not None:
            runtime.cudaStreamDestroy(self._stream)
        self._graph = self._stream = None

    def _allocate(self) -> None:
        for spec in self._inputs:
            self._set_shape(spec, self._largest[spec.name])
        for spec in (*self._inputs, *self._outputs):
            shape = tuple(self._context.get_tensor_shape(spec.name))
            buffer = PinnedBuffer(int(np.prod(shape, dtype=np.int64)) * spec.dtype.itemsize)
            self._buffers[spec.name] = buffer
            if not self._context.set_tensor_address(spec.name, buffer.device):
                raise EdgehrError(f"TensorRT does not take a buffer for {spec.name}")

    def _set_shape(self, spec: TensorSpec, shape: tuple[int | None, ...]) -> None:
        if None in spec.shape and not self._context.set_input_shape(spec.name, shape):
            raise TensorError(f"TensorRT does not take {spec.name} {shape}: outside the plan's profile")

    def _enqueue(self, input_bytes: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        for name, size in input_bytes.items():
            self._buffers[name].upload(size, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise EdgehrError("TensorRT could not start the inference")
        for spec in self._outputs:
            size = int(np.prod(shapes[spec.name], dtype=np.int64)) * spec.dtype.itemsize
            self._buffers[spec.name].download(size, self._stream)

    def _record(self, input_bytes: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> bool:
        """Record an inference; False where the plan cannot be recorded: then inferences go on without a graph."""
        runtime = cudart()
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call(runtime.cudaStreamBeginCapture, self._stream, mode)
        try:
            self._enqueue(input_bytes, shapes)
        except EdgehrError as error:
            runtime.cudaStreamEndCapture(self._stream)  # ends the recording; its own status repeats the error
            runtime.cudaGetLastError()  # CUDA keeps it for the next caller otherwise
            warnings.warn(f"this plan runs without a CUDA graph: {error}", RuntimeWarning, stacklevel=2)
            return False
        graph = call(runtime.cudaStreamEndCapture, self._stream)
        try:
            self._graph = call(runtime.cudaGraphInstantiate, graph, 0)
        finally:
            runtime.cudaGraphDestroy(graph)
        return True
