"""Packages that may not be there or not load: what a workstation has and a device has not, and what has native code."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

from edgehr.errors import MissingDependencyError, first_line


def need_packages(*names: str, extra: str = "convert") -> None:
    """Raise MissingDependencyError where one of these packages is not installed.

    Args:
        names: As they are imported.
        extra: The extra of edgehr that brings them.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(f"this needs {', '.join(missing)}: pip install 'edgehr[{extra}]'")


def need_torch() -> None:
    """Raise MissingDependencyError where the packages that convert are not installed."""
    need_packages("torch", "onnx", "onnxscript", "onnxsim", "onnxruntime", "safetensors", "rich")


@contextmanager
def loading_native() -> Iterator[None]:
    """Import packages with native code in this block; where that fails, the error says why.

    Of one that was compiled for another NumPy, NumPy prints a page with a traceback, and the error itself is empty.

    Raises:
        ImportError: In place of such an error.
    """
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            yield
    except Exception as error:
        if "compiled using NumPy 1" in printed.getvalue():
            import numpy as np

            reason = (
                f"compiled for NumPy 1, not for the {np.__version__} here: pip install 'numpy<2', or a newer version"
            )
            raise ImportError(reason) from error
        raise
    if printed.getvalue():
        print(printed.getvalue(), end="", file=sys.stderr)


def unusable(title: str, package: str, extra: str, error: Exception) -> MissingDependencyError:
    """Make the error that says in one line why a package does not load, and what helps.

    Args:
        title: What people call it.
        package: As pip and Python call it.
        extra: The extra of edgehr that brings it.
        error: What its import raised.
    """
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        return MissingDependencyError(f"{title} is not installed: pip install 'edgehr[{extra}]'")
    reason = first_line(error)
    cure = "" if "pip install" in reason else f": pip install --force-reinstall --no-deps {package}"
    return MissingDependencyError(f"{title} is installed but does not load ({reason}){cure}")
