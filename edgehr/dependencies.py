"""Optional packages: what a workstation has and a device has not."""

from __future__ import annotations

import importlib.util

from edgehr.errors import MissingDependencyError


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
