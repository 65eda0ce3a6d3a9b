"""The format `.tuned`: a model in a file beside it, and the way to run it that `edgehr tune` found best here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.files import atomic_write, read_json, sha256_file
from edgehr.runtimes.artifact import MAX_THREADS, is_file_name
from edgehr.runtimes.formats import Format, Probe, format_of

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime
    from edgehr.runtimes.coverage import Coverage

SCHEMA = 1
SUFFIX = ".tuned"


@dataclass(frozen=True)
class RunConfiguration:
    """Says how to run a model.

    Attributes:
        device: As for `edgehr.load`.
        threads: Threads of one inference; None leaves it to the backend.
        streams: How many inputs of a batch may run side by side; None leaves it to the runtime.
        precision: Arithmetic to ask for; None keeps what the artifact promises.
    """

    device: str = "auto"
    threads: int | None = None
    streams: int | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "streams"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise ArtifactError(f"{name} must be a whole number, got {value!r}")
            if value is not None and not 1 <= value <= MAX_THREADS:
                raise ArtifactError(f"{name} must be a whole number of 1 to {MAX_THREADS}, got {value!r}")
        if not isinstance(self.device, str) or not isinstance(self.precision, str | None):
            raise ArtifactError("device and precision must be texts")


@dataclass(frozen=True)
class TunedModel:
    """Holds the content of a `.tuned` file, which is JSON.

    Attributes:
        file: Name of the model's main file, in the same folder.
        sha256: SHA-256 of that file.
        run: How to run it.
        measured: What it was chosen for, in plain JSON types; nothing depends on it.
    """

    file: str
    sha256: str
    run: RunConfiguration = RunConfiguration()
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A name must not lead out of the folder, nor back to a file of this kind.
        if not is_file_name(self.file) or self.file.endswith(SUFFIX):
            raise ArtifactError(f"names {self.file!r}, which is no model file beside it")

    @classmethod
    def read(cls, path: Path) -> TunedModel:
        """Read a file; raises ArtifactError where it is damaged or of a later edgehr."""
        try:
            data = read_json(path)
            if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
                raise ArtifactError(f"was not written by `edgehr tune`, or by a later one (schema {SCHEMA} is read)")
            return cls(**{**data, "run": RunConfiguration(**data.get("run", {}))})
        except (EdgehrError, TypeError) as error:
            raise ArtifactError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; raises ArtifactError where its model is not beside it."""
        with atomic_write(path) as (temporary,):
            temporary.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n", encoding="utf-8")
            if not path.with_name(self.file).is_file():  # somebody has removed the folder, which is there anew now
                raise _without_model(path, self)


class TunedFormat(Format):
    """Opens the model as it was found to be fastest; what the caller asks for wins."""

    name, title = "tuned", "the choice of edgehr tune"
    suffixes = (SUFFIX,)

    def files(self, path: Path) -> list[Path]:
        """List the file and those of the model."""
        model = path.with_name(TunedModel.read(path).file) if path.is_file() else None
        return [path] if model is None else [path, *format_of(model).files(model)]

    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Open the model with its configuration; raises ArtifactError where the file beside it is another one."""
        run, model = TunedModel.read(path).run, _model_of(path)
        runtime = format_of(model).open(
            model, run.device if device == "auto" else device, threads or run.threads, precision or run.precision
        )
        if run.streams is not None and threads is None:
            runtime.set_streams(run.streams)
        return runtime

    def describe(self, path: Path) -> dict[str, Any]:
        """Describe the model, and how it is run."""
        tuned, model = TunedModel.read(path), _model_of(path)
        return {**format_of(model).describe(model), "run": asdict(tuned.run), "measured": dict(tuned.measured)}

    def operators(self, path: Path) -> dict[str, int] | None:
        """Count the model's operators."""
        model = _model_of(path)
        return format_of(model).operators(model)

    def coverage(self, path: Path) -> Coverage | None:
        """Read which of the model's operators compute in INT8."""
        model = _model_of(path)
        return format_of(model).coverage(model)

    def open_probe(self, path: Path, layers: Iterable[str]) -> Probe:
        """Open the model so that it returns what these layers return."""
        model = _model_of(path)
        return format_of(model).open_probe(model, layers)


def _model_of(path: Path) -> Path:
    """Find the model of a `.tuned` file; raises ArtifactError where it is missing or another one."""
    tuned = TunedModel.read(path)
    model = path.with_name(tuned.file)
    if not model.is_file():
        raise _without_model(path, tuned)
    if sha256_file(model) != tuned.sha256:
        raise ArtifactError(f"{path}: {tuned.file} beside it is damaged, or not the model that it was written for")
    return model


def _without_model(path: Path, tuned: TunedModel) -> ArtifactError:
    return ArtifactError(f"{path}: its model {tuned.file} is not beside it")


FORMAT = TunedFormat()
