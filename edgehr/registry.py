"""Registry: things that are known by name and imported only when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from edgehr.errors import EdgehrError

T = TypeVar("T")


class Registry(Generic[T]):
    """Tasks, formats, targets and the like, by name.

    What edgehr brings is listed by where it stands and imported on first use, so that a device loads only what it
    needs. Packages of users' own add to it with `register`.

    Args:
        kind: What is registered, in one word, for messages: ``task``.
        builtin: For each name that edgehr brings, ``module:attribute``.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str]) -> None:
        self._kind = kind
        self._builtin = dict(builtin)
        self._loaded: dict[str, T] = {}

    def register(self, name: str, value: T) -> T:
        """Add something of your own, or put it in the place of what has this name; returns it."""
        self._loaded[name] = value
        return value

    def get(self, name: str) -> T:
        """Return what has this name, and import it if need be.

        Raises:
            EdgehrError: There is none; the message lists what there is.
        """
        if name not in self._loaded:
            if name not in self._builtin:
                raise EdgehrError(f"unknown {self._kind} {name!r}: expected one of {', '.join(self.names)}")
            self._loaded[name] = cast("T", load_attribute(self._builtin[name]))
        return self._loaded[name]

    def address(self, name: str) -> str:
        """Return where edgehr's own of this name stands, ``module:attribute``; empty for what was registered."""
        return "" if name in self._loaded else self._builtin.get(name, "")

    @property
    def names(self) -> tuple[str, ...]:
        """List the known names, edgehr's own first."""
        return tuple(dict.fromkeys((*self._builtin, *self._loaded)))


def load_attribute(address: str) -> Any:
    """Import what ``module:attribute`` names."""
    module, _, attribute = address.partition(":")
    return getattr(import_module(module), attribute)


# What a model is for. Model cards read their task's part by it, so it stands below them.
TASKS: Registry[Any] = Registry(
    "task",
    {
        "pose": "edgehr.tasks.pose.task:PoseTask",
        "detection": "edgehr.tasks.detection.task:DetectionTask",
        "classification": "edgehr.tasks.classification.task:ClassificationTask",
        "segmentation": "edgehr.tasks.segmentation.task:SegmentationTask",
        "landmarks": "edgehr.tasks.landmarks.task:LandmarksTask",
    },
)


def spec_type(task: str) -> Any:
    """Return the class of a task's part of a card; raises EdgehrError for an unknown task.

    Of edgehr's own tasks it stands in the module beside, `spec.XSpec` of `task.XTask`, and is taken from there, so that
    a card alone is read without OpenCV, which the tasks import.
    """
    if address := TASKS.address(task):
        return load_attribute(address.removesuffix("Task").replace(".task:", ".spec:") + "Spec")
    return TASKS.get(task).spec_type
