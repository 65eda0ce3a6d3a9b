"""A folder of models in the form that a server reads: one folder a model, in it one a version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.files import atomic_folder, atomic_write, check_writable, only_one, read_json
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.formats import tensor_entry
from edgehr.serving.measure import Arrangement
from edgehr.serving.plan import OVMS, PYTHON, TRITON, Servable
from edgehr.serving.triton import CONFIGURATION, configuration

DESCRIPTION = "edgehr.json"
SETTINGS = "serving.json"
OVMS_CONFIGURATION = "config.json"
PATIENCE_S = 60  # with another process that adds to the same repository
_MODEL_PY = '''"""Runs this model with edgehr, which has to be installed for the Python of Triton's backend."""

from edgehr.serving.triton_model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class ServingSettings:
    """Says how edgehr runs a version of a model in a server.

    Attributes:
        server: ``triton``, ``ovms`` or ``kserve``.
        file: Name of the model's main file, in the folder of the version.
        backend: What runs it.
        instances: Copies side by side.
        threads: Of each; None for as many as its runtime chooses.
        inputs: What it takes, in plain JSON types.
        outputs: What it returns.
    """

    server: str
    file: str
    backend: str
    instances: int
    threads: int | None
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]

    @classmethod
    def of(cls, served: Servable, arrangement: Arrangement) -> ServingSettings:
        """Take them from what is served."""
        inputs, outputs = ([tensor_entry(spec) for spec in specs] for specs in (served.inputs, served.outputs))
        return cls(
            served.server, served.main_file, served.backend, arrangement.instances, arrangement.threads, inputs, outputs
        )

    @classmethod
    def read(cls, folder: Path) -> ServingSettings:
        """Read those of a version; raises ArtifactError where they are missing or damaged."""
        try:
            return cls(**read_json(folder / SETTINGS))
        except (EdgehrError, TypeError) as error:
            text = str(error).removeprefix(f"{folder / SETTINGS}: ")
            raise ArtifactError(f"{folder / SETTINGS}: was not written by `edgehr export-repository`: {text}") from None

    @property
    def tensors(self) -> tuple[Any, ...]:
        """Return what all versions of a model have in common."""
        return self.backend, self.inputs, self.outputs


def versions(model: Path) -> list[int]:
    """List the versions of a model in its folder, the newest last."""
    names = [entry.name for entry in model.iterdir()] if model.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal() and name.isascii())


def read_description(folder: Path) -> Artifact:
    """Read what a version says of itself; raises ArtifactError where that is missing or damaged."""
    file = folder / DESCRIPTION
    try:
        return Artifact.from_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ArtifactError) as error:
        raise ArtifactError(f"{file}: was not written by `edgehr export-repository`: {error}") from None


def next_version(out: Path, served: Servable, wanted: int | None = None) -> int:
    """Choose the version that a model gets, and see that it suits those that are there.

    Args:
        out: The repository.
        served: The model.
        wanted: Its version; None for the next one.

    Raises:
        EdgehrError: That version is there, the folder cannot be written to, or holds a model of other tensors.
    """
    _check_server(out, served.server)
    model = out / served.name
    there = versions(model)
    version = wanted or (max(there) + 1 if there else 1)
    if (model / str(version)).exists():
        raise EdgehrError(f"{model / str(version)}: is there already, and versions are never overwritten")
    if model.is_dir() and not there and any(not entry.name.startswith(".") for entry in model.iterdir()):
        raise EdgehrError(f"{model}: holds something else than versions: choose another --name or --out")
    check_writable((model if model.is_dir() else out) / CONFIGURATION)  # a server stumbles over an empty folder
    for other in there:
        had, has = ServingSettings.read(model / str(other)), ServingSettings.of(served, Arrangement())
        read_description(model / str(other))
        if had.tensors != has.tensors:
            raise EdgehrError(
                f"{served.path}: takes or returns other tensors, or runs by another backend, than version {other} of "
                f"{served.name}, and versions share one configuration: choose another --name"
            )
    return version


def _check_server(out: Path, server: str) -> None:
    """Raise EdgehrError where a repository holds models for another server, which would take these for its own."""
    for model in sorted(out.iterdir()) if out.is_dir() else []:
        for version in versions(model):
            if (model / str(version) / SETTINGS).is_file():
                other = ServingSettings.read(model / str(version)).server
                if other != server:
                    raise EdgehrError(f"{out}: is a repository for {other}: choose another --out")


def add(out: Path, served: Servable, version: int, arrangement: Arrangement, *, gpu: bool = False) -> list[Path]:
    """Put a version of a model into a repository: the whole version, or nothing of it.

    A server that reads the folder meanwhile sees the configuration first, and then the version.

    Args:
        out: The repository.
        served: The model.
        version: As `next_version` chose it.
        arrangement: How it is run.
        gpu: It is run on a GPU.

    Returns:
        The files of the version, then the configuration.

    Raises:
        EdgehrError: It cannot be written, or is there already.
    """
    model = out / served.name
    folder = model / str(version)
    written = []
    out.mkdir(parents=True, exist_ok=True)
    with only_one(out, PATIENCE_S), atomic_folder(folder) as scratch:
        for name, source in served.files().items():
            shutil.copyfile(source, scratch / name)
        if served.server == TRITON and served.backend == PYTHON:
            (scratch / "model.py").write_text(_MODEL_PY, encoding="utf-8")
        (scratch / DESCRIPTION).write_text(served.artifact.to_json() + "\n", encoding="utf-8")
        settings = json.dumps(vars(ServingSettings.of(served, arrangement)), indent=2) + "\n"
        (scratch / SETTINGS).write_text(settings, encoding="utf-8")
        names = sorted(file.name for file in scratch.iterdir())
        if served.server == TRITON:
            numbers = sorted({*versions(model), version})
            texts = {str(n): served.artifact if n == version else read_description(model / str(n)) for n in numbers}
            written.append(_write(model / CONFIGURATION, configuration(served, arrangement, texts, gpu=gpu)))
        elif served.server == OVMS:
            written.append(_configure_ovms(out, served, arrangement, gpu))
    return [*(folder / name for name in names), *written]


def _configure_ovms(out: Path, served: Servable, arrangement: Arrangement, gpu: bool) -> Path:
    """Add a model to the list of those that OpenVINO Model Server serves."""
    file = out / OVMS_CONFIGURATION
    data = read_json(file) if file.is_file() else {}
    listed = data.get("model_config_list", []) if isinstance(data, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise EdgehrError(f"{file}: is no list of models of OpenVINO Model Server: choose another --out")
    # In the arithmetic that the model was converted to, not in bf16 where a CPU has that.
    plugin: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if not gpu:
        plugin["NUM_STREAMS"] = arrangement.instances
    entry = {
        "name": served.name,
        "base_path": served.name,
        "target_device": "GPU" if gpu else "CPU",
        "nireq": arrangement.instances,
        "plugin_config": plugin,
    }
    others = [each for each in listed if each.get("config", {}).get("name") != served.name]
    return _write(file, json.dumps({**data, "model_config_list": [*others, {"config": entry}]}, indent=2) + "\n")


def _write(file: Path, text: str) -> Path:
    with atomic_write(file) as (temporary,):
        temporary.write_text(text, encoding="utf-8")
    return file


def check_names(served: Sequence[Servable]) -> None:
    """Raise EdgehrError where two models of one run have one name."""
    names = [each.name for each in served]
    for each in served:
        if names.count(each.name) > 1:
            raise EdgehrError(f"{each.path}: another model here has the name {each.name} too: export them one by one")
