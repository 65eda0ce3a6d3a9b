"""What is to be served: an artifact, the server that it is for, and what of it that server can take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgehr.errors import EdgehrError
from edgehr.runtimes import load
from edgehr.runtimes.artifact import Artifact, require_artifact
from edgehr.runtimes.formats import check_file, format_of
from edgehr.runtimes.tensors import TensorSpec

TRITON, OVMS, KSERVE = SERVERS = ("triton", "ovms", "kserve")
# Server -> format -> its backend there, and how it calls the main file; others are named alike.
_NATIVE = {
    TRITON: {
        "onnx": ("onnxruntime", "model.onnx"),
        "openvino": ("openvino", "model.xml"),
        "tensorrt": ("tensorrt", "model.plan"),
    },
    OVMS: {"onnx": ("openvino", "model.onnx"), "openvino": ("openvino", "model.xml")},
}
PYTHON = "python"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Servable:
    """Says what is served and by what.

    Attributes:
        path: The artifact's main file.
        name: What clients call the model.
        server: ``triton``, ``ovms`` or ``kserve``.
        backend: What runs it there; ``python`` where that is edgehr itself.
        format: Of the artifact, by name.
        artifact: What it says of itself.
        inputs: What it takes.
        outputs: What it returns.
        most: Largest batch, of a model whose batch is open; None for no limit.
    """

    path: Path
    name: str
    server: str
    backend: str
    format: str
    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    most: int | None = None

    @property
    def batches(self) -> bool:
        """Tell whether several requests may be put together: each tensor is of any number of items."""
        return all(spec.shape and spec.shape[0] is None for spec in (*self.inputs, *self.outputs))

    def files(self) -> dict[str, Path]:
        """Return the files that are copied, by the names that the server wants."""
        found = format_of(self.path).files(self.path)
        if self.backend == PYTHON:  # edgehr opens them by their own names
            return {file.name: file for file in found}
        main = _NATIVE[self.server][self.format][1]
        stem = main.rsplit(".", 1)[0]
        return {main if file == found[0] else f"{stem}{file.suffix}": file for file in found}

    @property
    def main_file(self) -> str:
        """Name the main file as the server wants it."""
        return next(iter(self.files()))


def plan(path: Path, server: str, name: str = "", *, python: bool = False) -> Servable:
    """Decide how a server runs an artifact.

    Args:
        path: Its main file.
        server: ``triton``, ``ovms`` or ``kserve``.
        name: What clients call it; by default the file's name without its ending.
        python: Triton runs it by edgehr in its Python backend.

    Raises:
        ArtifactError: The file is missing, damaged, or was not converted by edgehr.
        EdgehrError: The server cannot serve it, or the name is none.
    """
    check_file(path)
    kind = format_of(path)
    if not kind.files(path):
        raise EdgehrError(f"{path}: is served already: give a file")
    if python and server != TRITON:
        raise EdgehrError("--python is a form for Triton: leave it away, or use --for triton")
    name = name or path.stem
    if not _NAME.fullmatch(name):
        raise EdgehrError(f"{name!r} is no name for a model there: give --name of letters, digits, '.', '_' and '-'")
    backend = PYTHON if python or server == KSERVE else _native(path, server, kind.name)
    if kind.name == "trt-bundle":
        raise EdgehrError(f"{path}: a bundle does not run: build a plan of it where it is served (edgehr build)")
    artifact, inputs, outputs, most = _read(path, kind.name)
    if artifact.parts or artifact.part:
        raise EdgehrError(f"{path}: consists of several graphs with work between them, which no server does")
    return Servable(path, name, server, backend, kind.name, artifact, inputs, outputs, most)


def _native(path: Path, server: str, kind: str) -> str:
    taken = _NATIVE[server]
    if kind not in taken:
        help_ = "; --python lets edgehr run it there" if server == TRITON else ""
        raise EdgehrError(f"{path}: {server} cannot serve it: it takes {', '.join(taken)}{help_}")
    return taken[kind][0]


def _read(path: Path, kind: str) -> tuple[Artifact, tuple[TensorSpec, ...], tuple[TensorSpec, ...], int | None]:
    """Read what the model says of itself, takes and returns, and its largest batch."""
    if kind == "tensorrt":  # it opens on its own GPU only, but says everything in the file beside it
        from edgehr.runtimes.tensorrt.sidecar import read_plan, read_sidecar

        sidecar = read_sidecar(path)
        if sidecar.library != "tensorrt":
            raise EdgehrError(f"{path}: is a plan of TensorRT-RTX, and Triton runs those of TensorRT")
        read_plan(path, sidecar)  # it belongs to that
        most = min((shapes[-1][0] for shapes in sidecar.profiles.values()), default=None)
        return sidecar.artifact, _tensors(sidecar.inputs), _tensors(sidecar.outputs), most
    with load(path) as runtime:
        return require_artifact(runtime.artifact, path), runtime.inputs, runtime.outputs, runtime.batch_range[1]


def _tensors(shapes: Mapping[str, Sequence[int]]) -> tuple[TensorSpec, ...]:
    """Describe the tensors of a plan, which are float32."""
    return tuple(
        TensorSpec(name, tuple(None if size < 0 else size for size in shape), np.dtype(np.float32))
        for name, shape in shapes.items()
    )
