"""Kinds of model files: what a suffix means, which files belong together, and how each is opened and read.

A format is one object with a module of its own, which imports what it works with only when it is used. A new one is
such a module and a line in `FORMATS`, or a call of `FORMATS.register`.
"""

from __future__ import annotations

import glob
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.errors import ArtifactError, EdgehrError, MissingDependencyError
from edgehr.files import foreign_kind, sha256_file
from edgehr.registry import Registry
from edgehr.unfinished import finish_moves

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgehr.runtimes.artifact import Artifact
    from edgehr.runtimes.base import Runtime
    from edgehr.runtimes.coverage import Coverage
    from edgehr.runtimes.tensors import TensorSpec

# One crop in the artifact's layout, (3, H, W) or (H, W, 3) float32, to the wanted tensors by name, as real values.
Probe = Callable[["NDArray[np.float32]"], "dict[str, NDArray[Any]]"]


class Format(ABC):
    """A kind of model file.

    Attributes:
        name: As formats are registered.
        title: What users call it, where the suffix does not say it.
        suffixes: Of its main file, the usual one first.
        graph_packages: Packages that reading the graph needs besides those that run it.
    """

    name = ""
    title = ""
    suffixes: tuple[str, ...] = ()
    graph_packages: tuple[str, ...] = ()

    def takes(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a model of this name is one of this format."""
        return Path(path).suffix.lower() in self.suffixes

    def check(self, path: Path) -> None:
        """Raise ArtifactError where the model is missing, or one of its files is something else."""
        _check_files(path, self)

    def files(self, path: Path) -> list[Path]:
        """List the files that a model consists of, the main one first."""
        return [path]

    @abstractmethod
    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Open a model for inference; see `edgehr.runtimes.load`."""

    def describe(self, path: Path) -> dict[str, Any]:
        """Describe a model; see `describe`."""
        try:
            return self._describe_opened(path)
        except MissingDependencyError:
            raise
        except EdgehrError as error:
            ends = self._read_foreign(path)
            if ends is None:
                raise
            problem = str(error).removeprefix(f"{path}: ")
            return {**self.described(path, "", *ends, None), "problem": problem}

    def _describe_opened(self, path: Path) -> dict[str, Any]:
        with self.open(path) as runtime:
            return self.described(
                path,
                runtime.backend,
                [tensor_entry(spec) for spec in runtime.inputs],
                [tensor_entry(spec) for spec in runtime.outputs],
                runtime.artifact,
            )

    def _read_foreign(self, path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
        """Read inputs and outputs of a model that the runtime does not open from its file, as `described` takes them.

        None where that cannot be done, or edgehr has written the file: then it is damaged, or of another machine.
        """
        return None

    def described(
        self,
        path: Path,
        backend: str,
        inputs: list[dict[str, Any]],
        outputs: list[dict[str, Any]],
        artifact: Artifact | None,
    ) -> dict[str, Any]:
        """Put together what `describe` returns of every format."""
        files = [
            {"name": file.name, "bytes": file.stat().st_size, "sha256": sha256_file(file)}
            for file in self.files(path)
            if file.is_file()
        ]
        return {
            "files": files,
            "backend": backend,
            "inputs": inputs,
            "outputs": outputs,
            "operators": self.operators(path),
            "artifact": None if artifact is None else artifact_entry(artifact),
        }

    def arithmetic(self) -> tuple[str, ...]:
        """List what `precision` may ask for here beside what artifacts promise: none, for most formats."""
        return ()

    def operators(self, path: Path) -> dict[str, int] | None:
        """Count the operators of each type, most frequent first; None where that cannot be told."""
        return None

    def coverage(self, path: Path) -> Coverage | None:
        """Read which operators compute in INT8; None for a format that does not show its graph.

        Raises:
            EdgehrError: The file cannot be read.
        """
        return None

    def open_probe(self, path: Path, layers: Iterable[str]) -> Probe:
        """Open a model so that it returns what these layers return.

        Args:
            path: Its main file.
            layers: Names as `Coverage.nodes` gives them; those that the model lacks are not returned.

        Raises:
            EdgehrError: The model cannot be opened, or shows no layers.
        """
        raise EdgehrError(f"{path}: does not show its layers")


# In the order in which messages list them.
FORMATS: Registry[Format] = Registry(
    "format",
    {
        "onnx": "edgehr.runtimes.onnx.format:FORMAT",
        "openvino": "edgehr.runtimes.openvino.format:FORMAT",
        "tensorrt": "edgehr.runtimes.tensorrt.format:PLAN",
        "trt-bundle": "edgehr.runtimes.tensorrt.format:BUNDLE",
        "tflite": "edgehr.runtimes.tflite.format:FORMAT",
        "tuned": "edgehr.runtimes.tuned:FORMAT",
        "remote": "edgehr.runtimes.remote.format:FORMAT",
    },
)


def find_format(path: str | os.PathLike[str]) -> Format | None:
    """Return the format of a model by the suffix of its file, or by its address; None for anything else."""
    formats = [FORMATS.get(name) for name in FORMATS.names]
    # An address may end as a file does.
    return next((found for found in reversed(formats) if found.takes(path)), None)


def format_of(path: str | os.PathLike[str]) -> Format:
    """Return the format of a model by the suffix of its file, or by its address.

    Raises:
        ArtifactError: There is none; the message lists what there is.
    """
    found = find_format(path)
    if found is None:
        known = [FORMATS.get(name) for name in FORMATS.names]
        names = {each: each.suffixes[0] for each in known if each.suffixes}
        *first, last = [
            f"{names[each]} ({each.title})" if each in names and each.title else names.get(each, each.title)
            for each in known
        ]
        raise ArtifactError(f"{path}: unknown kind of model: expected {', '.join(first)} or {last}")
    return found


def check_file(path: Path) -> None:
    """Raise ArtifactError where a model file is missing, or it or one that belongs to it is something else."""
    found = find_format(path)
    if found is None:
        _check_files(path, None)
    else:
        found.check(path)


def _check_files(path: Path, kind_of: Format | None) -> None:
    finish_moves(path.parent)
    if path.is_dir():
        raise ArtifactError(f"{path}: is a folder, not a model file")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such model file")
    for file in kind_of.files(path) if kind_of else [path]:
        try:
            kind = foreign_kind(file, numbers=file != path) if file.is_file() else None
        except OSError as error:
            raise ArtifactError(f"{file}: cannot be read ({error.strerror})") from None
        if kind:
            raise ArtifactError(f"{file}: {kind}")


def model_files(path: Path) -> list[Path]:
    """List all files that have to go where a model goes: its own, those of its parts, and weights beside them.

    Raises:
        ArtifactError: The file is of an unknown kind.
    """
    found = [path]
    for file in format_of(path).files(path):
        # Parts of a model are named after its main file; ONNX has weights of its own beside it.
        stem, name = glob.escape(file.stem), glob.escape(file.name)
        found += [file, *sorted(file.parent.glob(f"{stem}.*{file.suffix}")), *sorted(file.parent.glob(f"{name}?*"))]
    return [file for file in dict.fromkeys(found) if file.is_file()]


def describe(path: Path) -> dict[str, Any]:
    """Describe a converted model in plain JSON types.

    Returns:
        `files` (name, size, sha256), `backend` (empty where nothing here runs it, and then `problem`), `inputs` and
        `outputs` (integers of TFLite with scale and zero point), `operators` (count by type; None where the package
        that could tell is not installed) and `artifact` (None for a model that edgehr did not convert); of a model of
        several graphs also `parts`, the same of each by name.

    Raises:
        EdgehrError: The file, or that of a part, is missing, damaged or of an unknown kind.
    """
    check_file(path)
    about = format_of(path).describe(path)
    parts = part_files(path, about["artifact"]["parts"] if about["artifact"] else {})
    if parts:
        about["parts"] = {name: format_of(file).describe(file) for name, file in parts.items()}
    return about


def part_files(path: Path, parts: Mapping[str, Mapping[str, str]]) -> dict[str, Path]:
    """Find the files of the parts of a model and check that they are those that it was written with.

    Args:
        path: The main file.
        parts: `file` and `sha256` of each part, by its name.

    Raises:
        ArtifactError: One is missing, damaged, or of another model.
    """
    found = {name: path.with_name(part["file"]) for name, part in parts.items()}
    for name, file in found.items():
        if not file.is_file():
            raise ArtifactError(f"{path}: its part {name} is not beside it: {file.name} is missing")
        if sha256_file(file) != parts[name]["sha256"]:
            raise ArtifactError(f"{path}: its part {name}, {file.name}, is damaged or belongs to another model")
    return found


def artifact_entry(artifact: Artifact) -> dict[str, Any]:
    """Describe what a model says of itself in plain JSON types."""
    parts = {name: dict(vars(part)) for name, part in artifact.parts.items()}
    return {**vars(artifact), "card": artifact.card.to_dict(), "parts": parts}


def tensor_entry(spec: TensorSpec) -> dict[str, Any]:
    """Describe a tensor in plain JSON types."""
    return {"name": spec.name, "shape": list(spec.shape), "dtype": str(spec.dtype)}


def fill_batch(crop: NDArray[np.float32], batch: Any) -> NDArray[np.float32]:
    """Repeat a crop to a batch of the model's fixed size; to one of 1 where `batch`, the size, is no number."""
    repeated: NDArray[np.float32] = crop[None].repeat(batch if isinstance(batch, int) else 1, axis=0)
    return repeated
