"""One inference on a server: arrays to what tritonclient sends, and its answer back to arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, first_line
from edgehr.runtimes.remote.client import Client, ServerError, answered_version
from edgehr.runtimes.remote.shared import Region, SharedMemory, aligned, is_forgotten
from edgehr.runtimes.tensors import Tensors, TensorSpec

# Where servers that send no binary tensors put numbers of each type, in gRPC.
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


@dataclass(frozen=True)
class Outputs:
    """Says what an answer is to hold.

    Attributes:
        specs: The outputs.
        batched: A first size that is open is the number of items of the inputs.
        version: Of the model that was opened; empty where the server does not tell.
    """

    specs: Sequence[TensorSpec]
    batched: bool
    version: str


class Request:
    """Holds what one inference sends and what it asks for; `close` it when its answer is read.

    Args:
        client: The connection.
        shared: Where tensors go; None for through the connection.
        datatypes: Of the inputs, in the protocol's words.
        wanted: What the answer is to hold.
        inputs: By name, checked.

    Raises:
        EdgehrError: There is no shared memory left.
    """

    def __init__(
        self,
        client: Client,
        shared: SharedMemory | None,
        datatypes: Mapping[str, str],
        wanted: Outputs,
        inputs: Tensors,
    ) -> None:
        self._client, self._shared, self._wanted, self._specs = client, shared, wanted, wanted.specs
        self._region: Region | None = None
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.inputs = [client.input(name, array.shape, datatypes[name]) for name, array in inputs.items()]
        self.outputs = [client.output(spec.name) for spec in self._specs]
        self._batch = next((len(array) for array in inputs.values() if array.ndim), 0) if wanted.batched else None
        if shared is None:
            for entry, array in zip(self.inputs, inputs.values(), strict=True):
                entry.set_data_from_numpy(array)
        else:
            self._place(shared, inputs)

    def _place(self, shared: SharedMemory, inputs: Tensors) -> None:
        """Write inputs to shared memory, and make room for outputs whose size is known."""
        sizes = [array.nbytes for array in inputs.values()]
        shapes = [self._shape(spec) for spec in self._specs]
        room = [
            0 if shape is None else _bytes(shape, spec.dtype) for shape, spec in zip(shapes, self._specs, strict=True)
        ]
        self._region = region = shared.take(sum(map(aligned, [*sizes, *room])))
        offset = 0
        for entry, array, size in zip(self.inputs, inputs.values(), sizes, strict=True):
            region.write(array, offset)
            entry.set_shared_memory(region.name, size, offset)
            offset += aligned(size)
        for entry, spec, shape, size in zip(self.outputs, self._specs, shapes, room, strict=True):
            if shape is not None:
                entry.set_shared_memory(region.name, size, offset)
                self._places[spec.name] = offset, shape
                offset += aligned(size)

    def _shape(self, spec: TensorSpec) -> tuple[int, ...] | None:
        """Tell the shape of an output of this inference; None where only the server knows it."""
        sizes = (self._batch if place == 0 and size is None else size for place, size in enumerate(spec.shape))
        known = tuple(size for size in sizes if size)
        return known if len(known) == len(spec.shape) and known else None

    def read(self, result: Any) -> dict[str, NDArray[Any]]:
        """Return the outputs by name, owned by the caller.

        Raises:
            EdgehrError: The answer lacks an output, holds another one than the server had told, or comes from another
                version of the model, which may want its images in another way.
        """
        answered = answered_version(result)
        if self._wanted.version and answered and answered != self._wanted.version:
            raise EdgehrError(
                f"{self._client.address}: the server has gone over to version {answered} of the model, from "
                f"{self._wanted.version}: open it again, or name the version in the address"
            )
        return {spec.name: self._read(result, spec) for spec in self._specs}

    def _read(self, result: Any, spec: TensorSpec) -> NDArray[Any]:
        answer = result.get_output(spec.name)
        if answer is None:
            raise EdgehrError(f"{self._client.address}: the server answers without {spec.name}")
        if spec.name in self._places and self._region is not None:
            offset, shape = self._places[spec.name]
            told = tuple(int(size) for size in (answer["shape"] if isinstance(answer, dict) else answer.shape))
            if told != shape:
                raise EdgehrError(f"{self._client.address}: the server answers {spec.name} in another shape, {told}")
            return self._region.view(shape, spec.dtype, offset).copy()
        try:
            array = _contents(answer)
            found: NDArray[Any] = np.array(result.as_numpy(spec.name) if array is None else array, copy=True)
            spec.check(found)
        except (ValueError, TypeError, KeyError) as error:
            raise EdgehrError(
                f"{self._client.address}: the server's answer for {spec.name} is not whole ({first_line(error)}); "
                "a Python backend that was built for NumPy 1 answers empty under NumPy 2"
            ) from None
        return found

    def close(self, error: BaseException | None = None) -> None:
        """Give back what was borrowed. Closing twice is fine.

        Args:
            error: How the inference ended, if not well. Where no answer came, the server may still write to the memory,
                so that nothing else may use it.
        """
        region, self._region = self._region, None
        if region is None or self._shared is None:
            return
        if error is None or (isinstance(error, ServerError) and not is_forgotten(error)):
            self._shared.give_back(region)
        else:
            self._shared.set_aside(region)


def _bytes(shape: Sequence[int] | None, dtype: np.dtype[Any]) -> int:
    return 0 if shape is None else math.prod(shape) * dtype.itemsize


def _contents(answer: Any) -> NDArray[Any] | None:
    """Read numbers that were sent one by one in gRPC, which tritonclient does not; None where there are none."""
    if isinstance(answer, dict) or not answer.HasField("contents"):
        return None
    field = _CONTENTS.get(answer.datatype)
    numbers = getattr(answer.contents, field) if field else ()
    if not numbers:
        return None
    from edgehr.runtimes.remote.library import import_utils

    return np.array(numbers, import_utils().triton_to_np_dtype(answer.datatype)).reshape(tuple(answer.shape))
