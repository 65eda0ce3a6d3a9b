"""edgehr in KServe's Python ModelServer: `python -m edgehr.serving.kserve_server REPOSITORY`.

It serves the newest version of every model that `edgehr export-repository --for kserve` wrote, by HTTP and gRPC, and
beside each model another one that answers with its description, for which the protocol has no place.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.dependencies import unusable
from edgehr.errors import EdgehrError, TensorError
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.remote.description import ASKED, DESCRIBED, describing_model
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.serving.repository import DESCRIPTION, ServingSettings, read_description, versions

try:
    import kserve
    from kserve.errors import InvalidInput
    from kserve.utils.numpy_codec import from_np_dtype
except Exception as error:  # its Python files may fail in any way
    raise unusable("KServe", "kserve", "kserve", error) from error


class ServedModel(kserve.Model):  # type: ignore[misc]
    """Serves a model of a repository.

    Args:
        name: What clients call it.
        folder: Of its version.

    Raises:
        EdgehrError: It cannot be opened.
    """

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._version = folder.name
        settings = ServingSettings.read(folder)
        self._runtime: Runtime = load(folder / settings.file, threads=settings.threads)
        self._pool = ThreadPoolExecutor(settings.instances, f"edgehr-{name}")
        self._infer: Callable[[Tensors], dict[str, NDArray[Any]]] = self._runtime.open_streams(settings.instances)
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """Tell what the model takes."""
        return [_tensor(spec) for spec in self._runtime.inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Tell what the model returns."""
        return [_tensor(spec) for spec in self._runtime.outputs]

    async def predict(self, payload: Any, *_: Any, **__: Any) -> Any:
        """Infer, in a thread, so that others are heard meanwhile."""
        inputs = {entry.name: entry.as_numpy() for entry in payload.inputs}
        try:
            outputs = await asyncio.get_running_loop().run_in_executor(self._pool, self._infer, inputs)
        except TensorError as error:
            raise InvalidInput(str(error)) from None
        return _response(payload, self.name, self._version, outputs)

    def stop(self) -> None:
        """Release the model."""
        self._pool.shutdown()
        self._runtime.close()


class DescribingModel(kserve.Model):  # type: ignore[misc]
    """Answers with the description of another model.

    Args:
        name: Of that model.
        folder: Of its version.

    Raises:
        ArtifactError: The description is missing or damaged.
    """

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(describing_model(name))
        self._version = folder.name
        read_description(folder)
        self._text = (folder / DESCRIPTION).read_bytes().strip()
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """Tell what it takes, and does not look at."""
        return [{"name": ASKED, "datatype": "UINT8", "shape": [1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Tell that it returns a text."""
        return [{"name": DESCRIBED, "datatype": "BYTES", "shape": [1]}]

    async def predict(self, payload: Any, *_: Any, **__: Any) -> Any:
        """Return the description."""
        return _response(payload, self.name, self._version, {DESCRIBED: np.array([self._text], object)})


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": spec.name, "datatype": from_np_dtype(spec.dtype), "shape": shape}


def _response(payload: Any, name: str, version: str, outputs: dict[str, NDArray[Any]]) -> Any:
    tensors = []
    for key, array in outputs.items():
        tensor = kserve.InferOutput(key, list(array.shape), from_np_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    return kserve.InferResponse(
        payload.id,
        name,
        tensors,
        model_version=version,
        requested_outputs=payload.request_outputs,
        use_binary_outputs=payload.use_binary_outputs,
    )


def models(repository: Path) -> list[Any]:
    """Open the newest version of every model of a repository, and what describes it.

    Raises:
        EdgehrError: There is none, or one cannot be opened.
    """
    found: list[Any] = []
    for model in sorted(repository.iterdir()) if repository.is_dir() else []:
        if there := versions(model):
            folder = model / str(there[-1])
            found += [ServedModel(model.name, folder), DescribingModel(model.name, folder)]
    if not found:
        raise EdgehrError(f"{repository}: there are no models: edgehr export-repository MODEL --for kserve --out DIR")
    return found


def _check_free(port: int) -> None:
    """Raise EdgehrError where another program has a port: KServe would open all models, and end with a traceback."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", port))
        except OSError as error:
            raise EdgehrError(f"port {port}: {error.strerror}: --http_port and --grpc_port choose others") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until it is told to end; KServe's own options are taken too."""
    parser = argparse.ArgumentParser(
        prog="python -m edgehr.serving.kserve_server", parents=[kserve.model_server.parser], conflict_handler="resolve"
    )
    parser.add_argument("repository", type=Path, metavar="REPOSITORY")
    args = parser.parse_args(arguments)
    try:
        server = kserve.ModelServer(
            http_port=args.http_port,
            grpc_port=args.grpc_port,
            enable_grpc=args.enable_grpc,
            workers=1,  # inferences are side by side in threads, not in processes
            ssl_certfile=args.ssl_certfile,
            ssl_keyfile=args.ssl_keyfile,
        )
        _check_free(server.http_port)
        if args.enable_grpc:
            _check_free(args.grpc_port)
        served = models(args.repository)
    except EdgehrError as error:
        print(f"edgehr: {error}", file=sys.stderr)
        return 1
    server.start(served)
    return 0


if __name__ == "__main__":
    sys.exit(main())
