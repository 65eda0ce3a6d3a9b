"""The ROS 2 node without ROS: what it makes of messages, with plain objects in their place.

What it asks of ROS was seen by a pretended one only; docs/untested.md names the command that would show more.
"""

from __future__ import annotations

import array
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.errors import EdgehrError
from edgehr.live.predictors.pose import PoseEstimator
from edgehr.tasks.pose.poses import Poses
from tests.examples.pretended_ros import Ros
from tests.live.test_pipeline import Peaks, whole

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)  # BGRA


@pytest.fixture(scope="module")
def node(load_example: Callable[[str], ModuleType]) -> ModuleType:
    return load_example("ros2_node")


def message(encoding: str, pixels: np.ndarray, padding: int = 0, sec: int = 0, nanosec: int = 0) -> Any:
    """A sensor_msgs/Image, whose data is an array.array as rclpy gives it."""
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=99)
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id="camera"),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [
        ("bgr8", [0, 1, 2]),
        ("rgb8", [2, 1, 0]),
        ("bgra8", [0, 1, 2, 3]),
        ("rgba8", [2, 1, 0, 3]),
    ],
)
def test_colors_come_out_as_bgr_and_padding_is_skipped(
    node: ModuleType, encoding: str, order: list[int], padding: int
) -> None:
    np.testing.assert_array_equal(node.to_bgr(message(encoding, PIXELS[..., order], padding)), PIXELS[..., :3])


@pytest.mark.parametrize("padding", [0, 1])
def test_grayscale_comes_out_as_bgr(node: ModuleType, padding: int) -> None:
    image = node.to_bgr(message("mono8", PIXELS[..., 0], padding))
    np.testing.assert_array_equal(image, np.repeat(PIXELS[..., :1], 3, axis=2))


def test_the_padding_of_the_last_row_may_be_missing(node: ModuleType) -> None:
    image = message("bgr8", PIXELS[..., :3], padding=5)
    del image.data[-5:]
    np.testing.assert_array_equal(node.to_bgr(image), PIXELS[..., :3])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoding": "32FC1"}, "encoding '32FC1' is not supported: publish one of bgr8, rgb8"),
        ({"data": array.array("B", bytes(20))}, "20 bytes are no 7x5 image of bgr8 with step 21"),
        ({"data": array.array("B")}, "0 bytes"),
        ({"step": 20}, "with step 20"),
        ({"height": 0}, "7x0"),
        ({"width": 0, "step": 0}, "0x5"),
    ],
)
def test_messages_that_are_no_image_are_refused(node: ModuleType, change: dict[str, Any], says: str) -> None:
    image = message("bgr8", PIXELS[..., :3])
    vars(image).update(change)
    with pytest.raises(EdgehrError, match=says):
        node.to_bgr(image)


def two_people() -> Poses:
    boxes = np.array([[10, 20, 30, 60], [0, 0, 5, 5]], np.float32)
    keypoints = np.array([[[11, 21], [12.345, 22]], [[1, 2], [3, 4]]], np.float32)
    return Poses(boxes, keypoints, np.array([[0.9, 0.5], [0.1, 1.3]], np.float32), np.array([4, 17]))


def test_boxes_become_centers_and_sizes(node: ModuleType) -> None:
    one, other = node.detection_fields(two_people())
    assert one == {"id": "4", "score": pytest.approx(0.7), "center": [20, 40], "size": [20, 40]}
    assert (other["id"], other["center"]) == ("17", [2.5, 2.5])
    assert all(type(value) is float for value in [one["score"], *one["center"], *one["size"]])  # what ROS insists on
    nobody = two_people()[:0]
    assert node.detection_fields(nobody) == []


def test_keypoints_become_json_with_the_stamp_of_the_image(node: ModuleType) -> None:
    stamp = SimpleNamespace(sec=12, nanosec=345)
    text = node.keypoints_json(two_people(), ("nose", "tail"), 0.3, stamp, "camera")
    assert json.loads(text) == {
        "stamp": {"sec": 12, "nanosec": 345},
        "frame_id": "camera",
        "people": [
            {"id": "4", "keypoints": {"nose": [11, 21, 0.9], "tail": [12.35, 22, 0.5]}},
            {"id": "17", "keypoints": {"tail": [3, 4, 1.3]}},
        ],
    }


def picture(sec: float) -> Any:
    return message("bgr8", np.zeros((120, 160, 3), np.uint8), sec=int(sec), nanosec=round((sec % 1) * 1e9))


def test_people_are_followed_from_image_to_image_and_the_detector_looks_now_and_then(node: ModuleType) -> None:
    looked = []

    def noting(image: np.ndarray) -> Any:
        looked.append(image.shape)
        return whole(image)

    follow = node.Follower(PoseEstimator(Peaks(), detector=noting, detect_every=4))
    results = [follow(picture(100 + number / 10)) for number in range(10)]
    assert [poses.ids.tolist() for poses in results] == [[1]] * 10
    assert looked == [(120, 160, 3)] * 3


def test_a_bag_that_starts_again_starts_with_new_people_and_a_detection(node: ModuleType) -> None:
    calls = []

    def noting(image: np.ndarray) -> Any:
        calls.append(len(calls))
        return whole(image)

    follow = node.Follower(PoseEstimator(Peaks(), detector=noting, detect_every=100))
    ids = [follow(picture(sec)).ids.tolist() for sec in (50.0, 50.1, 3.0, 3.1)]
    assert ids == [[1], [1], [2], [2]]
    assert len(calls) == 2


def test_without_a_detector_one_person_is_followed(node: ModuleType) -> None:
    follow = node.Follower(PoseEstimator(Peaks()))
    assert [follow(picture(number / 10)).ids.tolist() for number in range(3)] == [[1]] * 3


def test_it_is_imported_without_ros(node: ModuleType) -> None:
    assert node.Follower
    assert not {"rclpy", "sensor_msgs", "std_msgs", "vision_msgs"} & set(sys.modules)


def run(node: ModuleType, ros: Ros, monkeypatch: pytest.MonkeyPatch) -> Ros:
    ros.install(monkeypatch)
    node.main()
    return ros


@pytest.mark.slow
def test_images_come_out_as_detections_and_keypoints_under_their_own_header(
    node: ModuleType, monkeypatch: pytest.MonkeyPatch, sample_ir: Path
) -> None:
    portrait = cv2.imread(str(next(path for path in photographs() if path.stem == "astronaut")))
    images = [message("rgb8", portrait[..., ::-1], padding=3, sec=7, nanosec=step) for step in (0, 40_000_000)]
    images.insert(1, message("mono16", portrait))  # the next one may be better
    ros = run(node, Ros({"model": str(sample_ir)}, images), monkeypatch)
    assert ros.logged == [("error", "encoding 'mono16' is not supported: publish one of " + ", ".join(node.ENCODINGS))]
    assert [found.header for found in ros.published["people"]] == [images[0].header, images[2].header]
    (person,) = ros.published["people"][1].detections
    assert (person.id, person.results[0].hypothesis.class_id) == ("1", "person")
    assert 0.3 < person.results[0].hypothesis.score < 1
    spoken = json.loads(ros.published["keypoints"][1].data)
    assert spoken["stamp"] == {"sec": 7, "nanosec": 40_000_000}
    nose = spoken["people"][0]["keypoints"]["nose"]
    assert abs(person.bbox.center.position.x - nose[0]) < person.bbox.size_x / 2
    assert abs(person.bbox.center.position.y - nose[1]) < person.bbox.size_y / 2
    ((_, topic, _, qos),) = ros.subscribed
    assert (topic, qos) == ("image", {"depth": 1, "history": "keep last", "reliability": "best effort"})
    assert ros.ended == ["node", "ros"]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "no model: add -p model:=FILE"),
        ({"model": "no.xml"}, "no.xml: no such model file"),
        ({"device": 0}, "type"),
    ],
)
def test_what_is_wrong_with_the_parameters_is_said_once(
    node: ModuleType, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], says: str
) -> None:
    ros = Ros(parameters)
    with pytest.raises(SystemExit, match="1"):
        run(node, ros, monkeypatch)
    ((level, text),) = ros.logged
    assert level == "fatal"
    assert says in text
    assert ros.ended == ["node", "ros"]
