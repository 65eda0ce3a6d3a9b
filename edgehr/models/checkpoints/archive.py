"""Checkpoints in the form of `torch.save` since PyTorch 1.6: archives with a pickle and a record for each storage.

PyTorch's own reader looks at no checksum and believes what a damaged list of the records says, so that tensors may show
memory that is not theirs. Here Python's `zipfile` reads the records.
"""

from __future__ import annotations

import copy
import io
import pickle
import sys
import zipfile
from typing import Any

import torch
from torch.serialization import StorageType

from edgehr.models.checkpoints import inert

# What compressed records may hold together: a small file could fill the memory. PyTorch itself compresses nothing.
MAX_COMPRESSED = 1 << 30


def load_archive(archive: zipfile.ZipFile) -> Any:
    """Load what `torch.save` wrote, with every tensor on the CPU.

    Raises:
        Exception: Of a dozen types, where the archive is broken; AttackError where it is meant to harm.
    """
    packed = sum(each.file_size for each in archive.infolist() if each.compress_type != zipfile.ZIP_STORED)
    if packed > MAX_COMPRESSED:
        raise zipfile.BadZipFile(f"compressed records hold {packed / 1e9:.1f} GB, which no checkpoint needs")
    reader = _Reader(archive)
    try:
        return reader.load()
    finally:
        torch._utils._validate_loaded_sparse_tensors()  # type: ignore[no-untyped-call]


class _Reader(inert.Unpickler):
    """Unpickles the checkpoint in an archive, with its storages."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        names = archive.namelist()
        folder = next(name.removesuffix("data.pkl") for name in names if name.partition("/")[2] == "data.pkl")
        super().__init__(io.BytesIO(_read(archive, f"{folder}data.pkl")), encoding="latin1")
        self._archive, self._folder = archive, folder
        self._order = _read(archive, f"{folder}byteorder").decode() if f"{folder}byteorder" in names else "little"
        self._known: dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for: a type of storage by itself, all else as in its base."""
        if module == "torch" and name.endswith("Storage") and name != "UntypedStorage":
            return StorageType(name)  # type: ignore[no-untyped-call]
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage that an identifier names."""
        sort, kind, key, _, count = pid
        if sort != "storage":
            raise pickle.UnpicklingError(f"an object of kind {sort!r} in place of a storage")
        dtype = getattr(kind, "dtype", torch.uint8)  # of one without a type, these are bytes
        if key not in self._known:
            self._known[key] = self._storage(key, dtype)
        if not 0 <= count * dtype.itemsize <= self._known[key].nbytes():
            raise pickle.UnpicklingError(f"storage {key} is not as large as it says")
        return torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=self._known[key], dtype=dtype, _internal=True
        )

    def _storage(self, key: str, dtype: torch.dtype) -> Any:
        content = bytearray(_read(self._archive, f"{self._folder}data/{key}"))
        data = torch.frombuffer(content, dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)
        storage: Any = data.untyped_storage()
        if self._order != sys.byteorder:
            storage.byteswap(dtype)
        return storage


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a record; raises BadZipFile where its checksum does not fit."""
    record = copy.copy(archive.getinfo(name))
    if not record.CRC:  # torch.serialization.set_crc32_options(False) leaves them out
        record.CRC = None  # type: ignore[assignment]
    if record.compress_type == zipfile.ZIP_STORED and record.compress_size != record.file_size:
        raise zipfile.BadZipFile(f"the sizes of {name} differ")
    return archive.read(record)
