"""As much of ROS 2 as the node uses, made from its published interfaces: it shows slips, not that ROS takes it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def message(name: str, **fields: Callable[[], Any]) -> Any:
    """A message class: fields by keyword, and no others, as rosidl's."""

    def __init__(self: Any, **values: Any) -> None:  # noqa: N807
        for key, default in fields.items():
            setattr(self, key, values.pop(key, None) or default())
        assert not values

    return type(name, (), {"__slots__": tuple(fields), "__init__": __init__})


Point2D = message("Point2D", x=float, y=float)
Pose2D = message("Pose2D", position=Point2D, theta=float)
BoundingBox2D = message("BoundingBox2D", center=Pose2D, size_x=float, size_y=float)
ObjectHypothesis = message("ObjectHypothesis", class_id=str, score=float)
ObjectHypothesisWithPose = message("ObjectHypothesisWithPose", hypothesis=ObjectHypothesis, pose=object)
Detection2D = message("Detection2D", header=object, results=list, bbox=BoundingBox2D, id=str)
Detection2DArray = message("Detection2DArray", header=object, detections=list)
String = message("String", data=str)
Image = type("Image", (), {})


class ParameterError(Exception):
    """`rclpy.exceptions.ParameterException`."""


class ShutdownError(Exception):
    """`rclpy.executors.ExternalShutdownException`."""


@dataclass
class Ros:
    """A node, the images it will be given, and what it did.

    Attributes:
        parameters: As set on the command line.
        images: Given to the subscription one by one; then ROS shuts down.
        published: Messages by topic.
        logged: Level and text.
        ended: Calls of destroy_node and try_shutdown.
    """

    parameters: dict[str, Any]
    images: list[Any] = field(default_factory=list)
    published: dict[str, list[Any]] = field(default_factory=dict)
    logged: list[tuple[str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    subscribed: list[tuple[Any, ...]] = field(default_factory=list)

    def declare_parameter(self, name: str, default: Any) -> Any:
        value = self.parameters.get(name, default)
        if type(value) is not type(default):
            raise ParameterError(f"{name} is of another type")
        return SimpleNamespace(value=value)

    def create_publisher(self, kind: Any, topic: str, depth: int) -> Any:
        def publish(sent: Any) -> None:
            assert isinstance(sent, kind)
            self.published.setdefault(topic, []).append(sent)

        return SimpleNamespace(publish=publish)

    def create_subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        self.subscribed.append((kind, topic, callback, qos))

    def get_logger(self) -> Any:
        return SimpleNamespace(
            error=lambda text, throttle_duration_sec: self.logged.append(("error", text)),
            fatal=lambda text: self.logged.append(("fatal", text)),
        )

    def destroy_node(self) -> None:
        self.ended.append("node")

    def spin(self, node: Any) -> None:
        assert node is self
        ((_, _, callback, _),) = self.subscribed
        for image in self.images:
            callback(image)
        raise ShutdownError

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let `import rclpy` find this, for one test."""
        modules: dict[str, dict[str, Any]] = {
            "rclpy": {
                "init": lambda args: None,
                "create_node": lambda name: self,
                "spin": self.spin,
                "try_shutdown": lambda: self.ended.append("ros"),
            },
            "rclpy.exceptions": {"ParameterException": ParameterError},
            "rclpy.executors": {"ExternalShutdownException": ShutdownError},
            "rclpy.qos": {
                "QoSProfile": lambda **policies: policies,
                "HistoryPolicy": SimpleNamespace(KEEP_LAST="keep last"),
                "ReliabilityPolicy": SimpleNamespace(BEST_EFFORT="best effort"),
            },
            "sensor_msgs.msg": {"Image": Image},
            "std_msgs.msg": {"String": String},
            "vision_msgs.msg": {
                "Detection2D": Detection2D,
                "Detection2DArray": Detection2DArray,
                "ObjectHypothesisWithPose": ObjectHypothesisWithPose,
            },
        }
        for name, contents in modules.items():
            module = ModuleType(name)
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, name, module)
            parent = name.partition(".")[0]
            if parent not in modules:
                monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
