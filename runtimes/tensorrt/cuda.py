"""The little of CUDA that inference needs, through NVIDIA's own `cuda-python`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, MissingDependencyError


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: As the driver gives it.
        compute_capability: ``8.7`` for Orin, ``8.9`` for Ada, ...
        index: CUDA's number of it.
    """

    name: str
    compute_capability: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.compute_capability})"


@dataclass(frozen=True)
class GpuSearch:
    """The GPU that was found, or why there is none."""

    gpu: Gpu | None
    problem: str = ""


def cudart() -> Any:
    """CUDA's runtime API; raises MissingDependencyError where `cuda-python` is not installed."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime  # cuda-python before 12.8, as JetPack 6 installs
        except ImportError:
            raise MissingDependencyError(
                "cuda-python is not installed: pip install cuda-python (of your CUDA's major version)"
            ) from None
    return runtime


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """Call a CUDA function and return what it returns besides its status.

    Raises:
        EdgehrError: It failed.
    """
    status, *results = function(*arguments)
    if int(status) != 0:
        runtime = cudart()
        text = runtime.cudaGetErrorString(status)[1]
        raise EdgehrError(f"CUDA: {getattr(function, '__name__', 'a call')} failed: {text.decode()} ({int(status)})")
    return results[0] if len(results) == 1 else tuple(results)


def find_gpu(index: int = 0) -> GpuSearch:
    """Look for a GPU; never raises."""
    try:
        runtime = cudart()
        status, count = runtime.cudaGetDeviceCount()
        if int(status) == 35:
            return GpuSearch(None, "no NVIDIA driver is installed, or it is older than this CUDA")
        if int(status) == 100 or (int(status) == 0 and count == 0):
            return GpuSearch(None, "the NVIDIA driver sees no GPU")
        if int(status) != 0:
            return GpuSearch(None, f"CUDA does not start: {runtime.cudaGetErrorString(status)[1].decode()}")
        if index >= count:
            return GpuSearch(None, f"there is no GPU {index}: the driver sees {count}")
        found = call(runtime.cudaGetDeviceProperties, index)
    except EdgehrError as error:
        return GpuSearch(None, str(error))
    except RuntimeError as error:  # cuda-python before 12.9 where the driver's library is missing
        return GpuSearch(None, f"no NVIDIA driver is installed ({error})")
    name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
    return GpuSearch(Gpu(name.rstrip("\0"), f"{found.major}.{found.minor}", index))


class PinnedBuffer:
    """Page-locked host memory and as much device memory, for one tensor.

    Args:
        bytes_: Size of each.
    """

    def __init__(self, bytes_: int) -> None:
        self._runtime = cudart()
        self.bytes = max(bytes_, 1)
        self.host = 0
        self.device = int(call(self._runtime.cudaMalloc, self.bytes))
        try:
            self.host = int(call(self._runtime.cudaMallocHost, self.bytes))
        except EdgehrError:
            self.free()
            raise

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the start of the host memory as an array; valid until `free`."""
        count = int(np.prod(shape, dtype=np.int64))
        memory = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(self.host)
        return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)

    def upload(self, bytes_: int, stream: Any) -> None:
        """Copy from host to device, in order with the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        call(self._runtime.cudaMemcpyAsync, self.device, self.host, bytes_, kind, stream)

    def download(self, bytes_: int, stream: Any) -> None:
        """Copy from device to host, in order with the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        call(self._runtime.cudaMemcpyAsync, self.host, self.device, bytes_, kind, stream)

    def free(self) -> None:
        """Release both memories."""
        if self.device:
            self._runtime.cudaFree(self.device)
        if self.host:
            self._runtime.cudaFreeHost(self.host)
        self.device = self.host = 0
