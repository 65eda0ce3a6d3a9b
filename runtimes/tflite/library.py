"""Which TFLite is here: LiteRT (`ai-edge-litert`), or `tflite-runtime`, which old boards have."""

from __future__ import annotations

import ctypes
import importlib
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgehr.dependencies import loading_native
from edgehr.errors import EdgehrError, MissingDependencyError, first_line

PACKAGES = {"litert": ("ai-edge-litert", "ai_edge_litert"), "tflite-runtime": ("tflite-runtime", "tflite_runtime")}
# As in Google's guide to the Edge TPU; the system's loader finds them.
EDGE_TPU = {"Linux": "libedgetpu.so.1", "Darwin": "libedgetpu.1.dylib", "Windows": "edgetpu.dll"}


@dataclass(frozen=True)
class Library:
    """An installed TFLite.

    Attributes:
        name: ``litert`` or ``tflite-runtime``.
        version: Of its package.
        interpreter: Its module with `Interpreter` and `load_delegate`.
    """

    name: str
    version: str
    interpreter: Any

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def import_library() -> Library:
    """Import LiteRT, or else `tflite-runtime`.

    Raises:
        MissingDependencyError: Neither is installed and works.
    """
    problems = []
    for name, (package, module) in PACKAGES.items():
        try:
            with loading_native():
                return Library(name, version(package), importlib.import_module(f"{module}.interpreter"))
        except PackageNotFoundError:
            problems.append(f"{package} is not installed")
        except Exception as error:  # its Python files may fail in any way
            problems.append(f"{package}: {first_line(error)}")
    raise MissingDependencyError(f"no TFLite is usable ({'; '.join(problems)}): pip install 'edgehr[tflite]'")


def load_delegate(library: Library, device: str) -> Any:
    """Load a delegate.

    Args:
        library: The TFLite.
        device: ``edgetpu``, or ``delegate:`` and the path of a delegate's shared library.

    Raises:
        EdgehrError: It is not there or does not start.
    """
    path = EDGE_TPU[platform.system()] if device == "edgetpu" else device.removeprefix("delegate:")
    try:
        ctypes.CDLL(path)  # its message says what is missing; the library's own delegate object does not
        return library.interpreter.load_delegate(path)
    except (ValueError, OSError) as error:
        advice = "; install Google's libedgetpu and plug the Edge TPU in" if device == "edgetpu" else ""
        raise EdgehrError(f"the delegate {path} cannot be loaded: {first_line(error)}{advice}") from None
