"""The format of models that are no files: an address takes a file's place wherever edgehr takes a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.runtimes.formats import Format, artifact_entry, tensor_entry
from edgehr.runtimes.remote.address import RemoteAddress, is_address

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime


class RemoteFormat(Format):
    """Opens a model on a server, named by its address."""

    name, title = "remote", "an address, as grpc://HOST:8001/MODEL"

    def takes(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a model is named by an address."""
        return is_address(path)

    def check(self, path: Path) -> None:
        """Raise EdgehrError for an address that is not understood."""
        RemoteAddress.parse(path)

    def files(self, path: Path) -> list[Path]:
        """List no files: they are on the server."""
        return []

    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Connect to the server and ask what the model takes and returns."""
        from edgehr.runtimes.remote.runtime import RemoteRuntime

        return RemoteRuntime(RemoteAddress.parse(path), device, threads, precision)

    def describe(self, path: Path) -> dict[str, Any]:
        """Describe what the server tells of the model."""
        from edgehr.runtimes.remote.runtime import RemoteRuntime

        with RemoteRuntime(RemoteAddress.parse(path)) as runtime:
            return {
                "files": [],
                "address": str(runtime.address),
                "server": runtime.server,
                "version": runtime.version,
                "shared_memory": runtime.shares_memory,
                "backend": runtime.backend,
                "inputs": [tensor_entry(spec) for spec in runtime.inputs],
                "outputs": [tensor_entry(spec) for spec in runtime.outputs],
                "operators": None,
                "artifact": None if runtime.artifact is None else artifact_entry(runtime.artifact),
            }


FORMAT = RemoteFormat()
