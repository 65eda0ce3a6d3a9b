"""A ROS 2 node (Humble or newer): camera images in, people and their keypoints out.

    python3 examples/ros2_node.py --ros-args -r image:=/camera/image_raw -p model:=/models/pose.xml
    ... -p detector:=/models/yolox.xml -p threshold:=0.3 -p device:=auto

Topics:
    image (sensor_msgs/Image, subscribed): bgr8, rgb8, mono8, bgra8 or rgba8.
    people (vision_msgs/Detection2DArray): one detection a person, with box, score and, as `id`, the number they keep.
    keypoints (std_msgs/String): JSON, the keypoints of the same people by name.

Why two topics: boxes with numbers have a message that trackers, RViz and Foxglove understand. Neither ROS nor
vision_msgs has one for keypoints with scores (PoseArray has no scores and no names; hri_msgs/Skeleton2D fits one set of
18), and JSON needs no package to be built and is recorded in bags. In a system of your own, give them your own message.

Everything above `main` runs without ROS.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr import EdgehrError, PoseEstimator, Poses

# Encoding -> channels and the conversion to BGR.
ENCODINGS: dict[str, tuple[int, int | None]] = {
    "bgr8": (3, None),
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "mono8": (1, cv2.COLOR_GRAY2BGR),
    "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "rgba8": (4, cv2.COLOR_RGBA2BGR),
}


def to_bgr(message: Any) -> NDArray[np.uint8]:
    """Convert a sensor_msgs/Image to an array.

    Args:
        message: With `encoding`, `height`, `width`, `step` (bytes from row to row) and `data`.

    Returns:
        (H, W, 3) BGR; a view of the message where its encoding is bgr8.

    Raises:
        EdgehrError: Another encoding, no pixels, or less data than the size says.
    """
    if message.encoding not in ENCODINGS:
        raise EdgehrError(f"encoding {message.encoding!r} is not supported: publish one of {', '.join(ENCODINGS)}")
    channels, conversion = ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    length, row = len(message.data), width * channels
    # Some drivers leave the padding of the last row out.
    if min(height, width) < 1 or step < row or length < step * (height - 1) + row:
        raise EdgehrError(f"{length} bytes are no {width}x{height} image of {message.encoding} with step {step}")
    image: NDArray[np.uint8] = np.ndarray((height, width, channels), np.uint8, message.data, 0, (step, channels, 1))
    return image if conversion is None else np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def seconds(stamp: Any) -> float:
    """Convert a builtin_interfaces/Time to seconds."""
    return float(stamp.sec + 1e-9 * stamp.nanosec)


def detection_fields(poses: Poses) -> list[dict[str, Any]]:
    """List what goes into the Detection2D of each person.

    Returns:
        `id`, `score` (mean over the keypoints, 0 to 1), and of the box `center` (x, y) and `size` (x, y), in pixels.
    """
    centers, sizes = (poses.boxes[:, :2] + poses.boxes[:, 2:]) / 2, poses.boxes[:, 2:] - poses.boxes[:, :2]
    scores = np.clip(poses.scores.mean(axis=1), 0, 1)
    fields = zip(poses.ids.tolist(), scores.tolist(), centers.tolist(), sizes.tolist(), strict=True)
    return [{"id": str(i), "score": score, "center": center, "size": size} for i, score, center, size in fields]


def keypoints_json(poses: Poses, names: tuple[str, ...], threshold: float, stamp: Any, frame_id: str) -> str:
    """Write the keypoints of everybody as JSON.

    Args:
        poses: The people.
        names: Of the keypoints, `estimator.keypoints.names`.
        threshold: Keypoints with lower scores are left out.
        stamp: The image's.
        frame_id: The image's.

    Returns:
        ``{"stamp": {"sec", "nanosec"}, "frame_id", "people": [{"id", "keypoints": {name: [x, y, score]}}]}``, pixels.
    """
    people = []
    for number, points, scores in zip(poses.ids.tolist(), poses.keypoints, poses.scores, strict=True):
        seen = {
            name: [round(float(x), 2), round(float(y), 2), round(float(score), 4)]
            for name, (x, y), score in zip(names, points, scores, strict=True)
            if score >= threshold
        }
        people.append({"id": str(number), "keypoints": seen})
    header = {"stamp": {"sec": stamp.sec, "nanosec": stamp.nanosec}, "frame_id": frame_id}
    return json.dumps({**header, "people": people}, allow_nan=False, separators=(",", ":"))


class Follower:
    """Follows people through the images of one topic.

    Args:
        estimator: With or without a detector.
    """

    def __init__(self, estimator: PoseEstimator) -> None:
        self._estimator, self._sequence = estimator, estimator.sequence()
        self._count, self._last_s = 0, float("-inf")

    def __call__(self, message: Any) -> Poses:
        """Estimate the poses in the next image; raises EdgehrError where it cannot be read."""
        image, time_s = to_bgr(message), seconds(message.header.stamp)
        if time_s < self._last_s:  # a bag that starts again
            self._sequence.reset()
            self._count = 0
        self._last_s = time_s
        detector, every = self._estimator.detector, self._estimator.detect_every
        detections = detector(image) if detector is not None and self._count % every == 0 else None
        self._count += 1
        return self._sequence.step(image, time_s, detections)


def main() -> None:
    """Run the node until Ctrl-C or ROS shuts down."""
    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.executors import ExternalShutdownException

    rclpy.init(args=sys.argv)
    node = rclpy.create_node("edgehr_pose")
    try:
        with _open_estimator(node) as estimator:
            _subscribe(node, estimator)
            rclpy.spin(node)
    except (EdgehrError, ParameterException) as error:
        node.get_logger().fatal(str(error))
        sys.exit(1)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _open_estimator(node: Any) -> PoseEstimator:
    parameters = {name: node.declare_parameter(name, "").value for name in ("model", "detector")}
    device = node.declare_parameter("device", "auto").value
    if not parameters["model"]:
        raise EdgehrError("no model: add -p model:=FILE, a model converted by `edgehr convert`")
    return PoseEstimator(parameters["model"], detector=parameters["detector"] or None, device=device)


def _subscribe(node: Any, estimator: PoseEstimator) -> None:
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import String
    from vision_msgs.msg import Detection2DArray

    threshold = float(node.declare_parameter("threshold", 0.3).value)
    names, follow = estimator.keypoints.names, Follower(estimator)
    people = node.create_publisher(Detection2DArray, "people", 10)
    keypoints = node.create_publisher(String, "keypoints", 10)

    def on_image(message: Any) -> None:
        try:
            poses = follow(message)
        except EdgehrError as error:  # an image of another kind; the next one may be better
            node.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        header = message.header  # the image's own, so that results can be matched with it and transformed
        detections = [_detection(fields, header) for fields in detection_fields(poses)]
        people.publish(Detection2DArray(header=header, detections=detections))
        keypoints.publish(String(data=keypoints_json(poses, names, threshold, header.stamp, header.frame_id)))

    # What a camera publishes with, and room for one image: while this one is worked on, a newer one takes the place of
    # the one that waits.
    newest = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, "image", on_image, newest)


def _detection(fields: dict[str, Any], header: Any) -> Any:
    from vision_msgs.msg import Detection2D, ObjectHypothesisWithPose

    detection = Detection2D(header=header, id=fields["id"])
    box = detection.bbox
    box.center.position.x, box.center.position.y = fields["center"]
    box.size_x, box.size_y = fields["size"]
    person = ObjectHypothesisWithPose()
    person.hypothesis.class_id, person.hypothesis.score = "person", fields["score"]
    detection.results.append(person)
    return detection


if __name__ == "__main__":
    main()
