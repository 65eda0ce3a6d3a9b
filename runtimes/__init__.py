"""One runtime over several: `load` opens a converted model, whatever it was converted to."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.errors import EdgehrError
from edgehr.runtimes.artifact import MAX_THREADS, Artifact
from edgehr.runtimes.formats import check_file, format_of, part_files

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime
    from edgehr.runtimes.tensors import TensorSpec

_LOG = logging.getLogger("edgehr.runtimes")

__all__ = ["Artifact", "Runtime", "TensorSpec", "load"]


def __getattr__(name: str) -> Any:
    # NumPy, which these need, takes longer to import than a command that runs no model has to spend.
    if name not in ("Runtime", "TensorSpec"):
        raise AttributeError(f"module 'edgehr.runtimes' has no attribute {name!r}")
    from edgehr.runtimes import base, tensors

    return base.Runtime if name == "Runtime" else tensors.TensorSpec


def load(
    path: str | os.PathLike[str],
    device: str = "auto",
    *,
    threads: int | None = None,
    precision: str | None = None,
) -> Runtime:
    """Load a model for inference, with all its parts where it consists of several graphs.

    Args:
        path: `.onnx` (ONNX Runtime), `.xml` with its `.bin` beside it (OpenVINO), `.plan` with its `.json` (TensorRT),
            `.tflite`, or `.tuned`, which names one of these with the settings that `edgehr tune` found best; or the
            address of a model on a server, ``grpc://host:8001/model`` (docs/serving.md).
        device: ``auto`` for the CPU (TensorRT: the first GPU), or the backend's name of a device.
        threads: Threads of one inference; None leaves it to the backend.
        precision: Arithmetic to ask for (OpenVINO only: ``fp32``, ``bf16``, ``fp16``); None keeps what the artifact
            promises.

    Raises:
        ArtifactError: The file, or that of a part of the model, is missing, damaged, foreign or of an unknown kind.
        MissingDependencyError: The backend is not installed.
        EdgehrError: The device is not there.
    """
    file = Path(path)
    check_file(file)
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise EdgehrError(f"threads must be 1 to {MAX_THREADS}, got {threads}")
    runtime = format_of(file).open(file, device, threads, precision)
    try:
        described = runtime.artifact.parts if runtime.artifact else {}
        for name, part in part_files(file, {name: vars(part) for name, part in described.items()}).items():
            runtime.parts[name] = format_of(part).open(part, device, threads, precision)
    except BaseException:
        runtime.close()
        raise
    _log_opened(file if runtime.path else runtime, runtime, threads)
    return runtime


def _log_opened(name: object, runtime: Runtime, threads: int | None) -> None:
    of = f"{runtime.artifact.card.name} in {runtime.artifact.precision}" if runtime.artifact else "not of edgehr"
    _LOG.info(
        "opened %s (%s) in %s on %s, computing in %s, %s, %d parts beside it",
        name,
        of,
        runtime.backend,
        runtime.device,
        runtime.precision or "what the file says",
        f"{threads} threads" if threads else "threads as its backend chooses",
        len(runtime.parts),
    )
