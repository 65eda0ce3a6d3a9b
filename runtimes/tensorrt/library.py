"""The TensorRT that is here: NVIDIA's `tensorrt`, or `tensorrt_rtx`, which builds for RTX GPUs without having one."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.runtimes.tensorrt.cuda import Gpu, find_gpu

LIBRARIES = ("tensorrt", "tensorrt_rtx")


@dataclass(frozen=True)
class Library:
    """An installed TensorRT.

    Attributes:
        name: ``tensorrt`` or ``tensorrt_rtx``.
        version: As the library gives it.
        trt: The module.
    """

    name: str
    version: str
    trt: Any

    @property
    def major(self) -> int:
        """First number of the version."""
        return int(self.version.split(".")[0])

    @property
    def is_rtx(self) -> bool:
        """Tell whether this is TensorRT-RTX."""
        return self.name == "tensorrt_rtx"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def import_library(name: str) -> Library:
    """Import a TensorRT by name.

    Raises:
        MissingDependencyError: It is not installed, or its libraries do not load.
    """
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a shared library of it is missing
        advice = {
            "tensorrt": "on a Jetson it comes with JetPack (make the environment with --system-site-packages); "
            "elsewhere: pip install 'edgehr[tensorrt]'",
            "tensorrt_rtx": "pip install 'edgehr[tensorrt-rtx]'",
        }[name]
        raise MissingDependencyError(f"{name} is not usable ({error}): {advice}") from None
    return Library(name, str(module.__version__), module)


def check_can_build(library: Library, gpu: Gpu | None) -> None:
    """Raise EdgehrError where this TensorRT cannot build: `tensorrt` without a GPU."""
    if gpu is None and not library.is_rtx:
        raise EdgehrError(
            f"{library} builds on the GPU it builds for, and there is none here: build with tensorrt_rtx, or write a "
            "bundle (--to trt-bundle) and run `edgehr build` on the device"
        )


def choose_library(wanted: str | None = None) -> tuple[Library, Gpu | None]:
    """Choose the TensorRT to build with, and find the GPU it would build on.

    Args:
        wanted: A library by name. By default `tensorrt` where it and a GPU are here, because it builds on the GPU it
            builds for; otherwise `tensorrt_rtx`, which needs none.

    Raises:
        MissingDependencyError: The wanted one, or any, is not installed.
    """
    gpu = find_gpu().gpu
    if wanted:
        return import_library(wanted), gpu
    problems = []
    for name in LIBRARIES if gpu else reversed(LIBRARIES):
        try:
            return import_library(name), gpu
        except MissingDependencyError as error:
            problems.append(str(error))
    raise MissingDependencyError("; ".join(problems))
