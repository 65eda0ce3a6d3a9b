"""Memory that this process and a server on the same machine share, so that tensors need not go through a connection."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.runtimes.remote.client import Client, ServerError
from edgehr.runtimes.remote.library import import_shared_memory

_LOG = logging.getLogger("edgehr.runtimes")

EXTENSION = "system_shared_memory"
_ALIGNMENT = 64
_TRIAL_BYTES = 4096
# What Triton says of a region that it does not know (any more).
_UNKNOWN_REGION = "shared memory region"


def aligned(size: int) -> int:
    """Round a number of bytes up to where the next tensor may begin."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT


@dataclass(frozen=True)
class Region:
    """Holds a piece of shared memory that the server knows.

    Attributes:
        name: As the server calls it.
        size: Of it, in bytes.
        handle: tritonclient's.
    """

    name: str
    size: int
    handle: Any

    def write(self, array: NDArray[Any], offset: int) -> None:
        """Copy an array to an offset in bytes."""
        self.view(array.shape, array.dtype, offset)[...] = array

    def view(self, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> NDArray[Any]:
        """Return what is at an offset, not copied."""
        found: NDArray[Any] = import_shared_memory().get_contents_as_numpy(self.handle, dtype, list(shape), offset)
        return found


class SharedMemory:
    """Lends regions to one inference at a time, and uses them again.

    Args:
        client: Tells the server of them.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._library = import_shared_memory()
        self._free: list[Region] = []
        self._aside: list[Region] = []
        self._lock = threading.Lock()

    @contextmanager
    def region(self, size: int) -> Iterator[Region]:
        """Lend a region of at least so many bytes.

        Raises:
            EdgehrError: It cannot be made, or the server cannot open it.
        """
        region = self.take(size)
        try:
            yield region
        finally:
            self.give_back(region)

    def take(self, size: int) -> Region:
        """Take a region of at least so many bytes; raises as `region` does."""
        with self._lock:
            for place, region in enumerate(self._free):
                if region.size >= size:
                    return self._free.pop(place)
        return self._make(1 << (max(size, 1) - 1).bit_length())

    def give_back(self, region: Region) -> None:
        """Keep a region for the next inference."""
        with self._lock:
            self._free.append(region)

    def set_aside(self, region: Region) -> None:
        """Keep a region that the server may still write to, and lend it no more."""
        with self._lock:
            self._aside.append(region)

    def forget(self) -> None:
        """Lend none of the regions that are free now: the server was started anew and does not know them."""
        with self._lock:
            self._aside += self._free
            self._free = []

    def close(self) -> None:
        """Release all; to be called when no inference is under way."""
        with self._lock:
            regions = [*self._free, *self._aside]
            self._free, self._aside = [], []
        for region in regions:
            with suppress(EdgehrError):  # the server may be gone, or have been started anew
                self._client.unshare(region.name)
            self._library.destroy_shared_memory_region(region.handle)

    def _key(self, name: str) -> str:
        """Return how another process finds the region."""
        return f"/{name}"

    def _make(self, size: int) -> Region:
        name = f"edgehr-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            handle = self._library.create_shared_memory_region(name, name, size, create_only=True)
        except self._library.SharedMemoryException as error:
            raise EdgehrError(f"no shared memory of {size} bytes: {error.__cause__ or error}") from None
        try:
            self._client.share(name, self._key(name), size)
        except BaseException:
            self._library.destroy_shared_memory_region(handle)
            raise
        return Region(name, size, handle)


def open_shared_memory(client: Client, extensions: list[str]) -> SharedMemory | None:
    """Open shared memory with a server where the address asks for it, or both are on one machine.

    Raises:
        EdgehrError: The address asks for it, and the server does not take it.
    """
    address = client.address
    wanted = address.shared_memory
    if wanted == "off" or (wanted == "auto" and not (address.is_this_machine and EXTENSION in extensions)):
        return None
    if EXTENSION not in extensions:
        raise EdgehrError(f"{address}: the server knows no shared memory: leave ?shared_memory=on away")
    shared = SharedMemory(client)
    try:
        with shared.region(_TRIAL_BYTES):
            return shared
    except EdgehrError as error:
        if wanted == "on":
            raise
        _LOG.info("%s: tensors go through the connection, for shared memory does not work: %s", address, error)
        return None


def is_forgotten(error: BaseException) -> bool:
    """Tell whether a server that was started anew says that it does not know a region."""
    return isinstance(error, ServerError) and _UNKNOWN_REGION in str(error)
