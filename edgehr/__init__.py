"""edgehr: HRNet and Lite-HRNet networks on edge devices.

Importing this package loads nothing but the standard library; each name below is imported when it is first used, with
NumPy and OpenCV at most. Runtimes are imported by `load`, PyTorch only by `edgehr.models` and `edgehr.converters`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgehr.card import ModelCard
    from edgehr.errors import EdgehrError
    from edgehr.live.predictors.pose import PoseEstimator
    from edgehr.runtimes import Runtime, load
    from edgehr.tasks import Poses, Task

__version__ = "0.1.0"

__all__ = [
    "EdgehrError",
    "ModelCard",
    "PoseEstimator",
    "Poses",
    "Runtime",
    "Task",
    "__version__",
    "load",
]

_HOMES = {
    "EdgehrError": "edgehr.errors",
    "ModelCard": "edgehr.card",
    "PoseEstimator": "edgehr.live.predictors.pose",
    "Poses": "edgehr.tasks",
    "Runtime": "edgehr.runtimes",
    "Task": "edgehr.tasks",
    "load": "edgehr.runtimes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgehr' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
