"""What figures were taken on: latency means nothing without it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "tflite": "ai-edge-litert", "tensorrt": "tensorrt"}


def machine() -> str:
    """The processor, its usable cores and the system, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()} {platform.machine()}"


def runtime_version(backend: str) -> str:
    """A backend with the version of its package, if that can be told."""
    try:
        return f"{backend} {version(_PACKAGES[backend])}"
    except (PackageNotFoundError, KeyError):
        return backend


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return (names and names[0]) or platform.processor() or "unknown processor"
