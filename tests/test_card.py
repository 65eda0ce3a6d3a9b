import json
from typing import Any

import pytest

from edgehr.card import InputSpec, ModelCard
from edgehr.errors import EdgehrError
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.tasks.pose.spec import Decoding, KeypointSet, PoseSpec, with_decoding
from edgehr.zoo import all_cards, get_card


def test_every_card_survives_json() -> None:
    for card in all_cards():
        assert ModelCard.from_json(card.to_json()) == card


def test_with_size_renames_and_keeps_the_rest() -> None:
    card = get_card("litehrnet-18-coco-256x192")
    larger = card.with_size(384, 288)
    assert larger.name == "litehrnet-18-coco-384x288"
    assert (larger.input.height, larger.input.width) == (384, 288)
    assert larger.spec == card.spec
    assert card.with_size(256, 192) is card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"nonsense": 1}, "nonsense"),
        ({"input": {"height": 256}}, "incomplete"),
        ({"input": {"height": 0, "width": 192}}, "positive"),
        ({"spec": {"keypoints": {"names": ["a"]}, "decoding": {"method": "magic"}}}, "magic"),
        ({"spec": {"keypoints": {"names": ["a"], "flip_pairs": [[0, 1]]}}}, "does not fit 1"),
        ({"spec": {"keypoints": "all"}}, "not an object"),
        ({"spec": "all"}, "not an object"),
        ({"spec": {}}, "PoseSpec is incomplete"),
        ({"name": "../../escaped"}, "model name must be"),
        ({"weights": {"origin": "published", "file": "../../escaped.pth"}}, "plain file name"),
        ({"weights": {"origin": "published", "file": "a.pth", "url": "file:///etc/hostname"}}, "http or https"),
        ({"outputs": 5}, "not a list"),
        ({"outputs": []}, "no outputs"),
        ({"parameters": [1]}, "must be an object"),
        ({"input": {"height": 256.5, "width": 192}}, "height .* must be a whole number, got 256.5"),
        ({"input": {"height": 256, "width": 192, "mean": ["a", "b", "c"]}}, "mean .* each a finite number"),
        ({"input": {"height": 256, "width": 192, "std": [1, 1, float("nan")]}}, "std .* each a finite number"),
        ({"name": 5}, "name .* must be a text"),
        ({"spec": {"keypoints": {"names": ["a", "b"], "sigmas": [0.1, 0]}}}, "sigmas must be 2 numbers above 0"),
        ({"spec": {"keypoints": {"names": ["a", "a"]}}}, "two keypoints are called 'a'"),
        (
            {"spec": {"keypoints": {"names": ["a", "b", "c"], "flip_pairs": [[0, 1], [1, 2]]}}},
            "b is in flip_pairs twice",
        ),
        ({"spec": {"keypoints": {"names": ["a", "b"], "flip_pairs": [["a", "b"]]}}}, "flip_pairs .* whole number"),
        ({"spec": {"keypoints": {"names": ["a"]}, "decoding": {"shift_flipped": "false"}}}, "true or false"),
        ({"spec": {"keypoints": {"names": ["a"]}, "padding": 0}}, "padding must be above 0"),
        ({"spec": {"classes": ["person"]}}, "unknown field in the model card's PoseSpec: classes"),
        ({"task": "detection"}, "unknown field in the model card's DetectionSpec: decoding, keypoints"),
        ({"task": "posture"}, "unknown task 'posture': expected one of pose, detection"),
        ({"task": 5}, "needs a task, and spec"),
        ({"spec": {"keypoints": {"names": []}}}, "needs keypoints"),
    ],
)
def test_damaged_cards_are_refused(change: dict[str, object], message: str) -> None:
    data = {**get_card("litehrnet-18-coco-256x192").to_dict(), **change}
    with pytest.raises(EdgehrError, match=message):
        ModelCard.from_json(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": []}, "needs classes"),
        ({"strides": [8, 0]}, "strides must be"),
        ({"letterbox": 256}, "letterbox must be"),
        ({"anchors": 3}, "anchors"),
    ],
)
def test_damaged_detection_cards_are_refused(change: dict[str, object], message: str) -> None:
    data = get_card("yolox-nano-coco-416x416").to_dict()
    with pytest.raises(EdgehrError, match=message):
        ModelCard.from_dict({**data, "spec": {**data["spec"], **change}})


# As edgehr wrote cards at first: the parts of each task beside the others, and another spelling.
SCHEMA_1: dict[str, Any] = {
    "schema": 1,
    "name": "a-64x64",
    "architecture": "hrnet",
    "dataset": "COCO",
    "input": {"height": 64, "width": 64, "color": "rgb", "mean": [0, 0, 0], "std": [1, 1, 1], "name": "image"},
    "outputs": [{"name": "heatmaps", "meaning": "maps"}],
    "weights": {"origin": "user", "file": "", "url": "", "sha256": "", "licence": "MIT", "metric": ""},
    "parameters": {},
    "category": "body",
    "layout": "nhwc",
}


def test_cards_of_the_first_schema_are_read() -> None:
    pose = {"decoding": {"method": "udp", "warp": "udp"}, "keypoints": {"names": ["a", "b"], "flip_pairs": [[0, 1]]}}
    card = ModelCard.from_dict({**SCHEMA_1, "task": "pose", **pose})
    assert card.spec == PoseSpec(KeypointSet(("a", "b"), ((0, 1),)), Decoding("udp", warp="udp"))
    assert (card.weights.license, card.layout) == ("MIT", "nhwc")
    assert ModelCard.from_json(card.to_json()) == card
    detection = {"classes": ["cat", "person"], "person": 1, "strides": [8], "letterbox": 0}
    card = ModelCard.from_dict({**SCHEMA_1, "task": "detection", "detection": detection})
    assert card.spec == DetectionSpec(("cat", "person"), (8,), 0)
    with pytest.raises(EdgehrError, match="PoseSpec is incomplete"):
        ModelCard.from_dict({**SCHEMA_1, "task": "pose"})


def test_a_part_of_another_task_is_refused() -> None:
    with pytest.raises(EdgehrError, match="is a model for detection, not for pose"):
        get_card("yolox-nano-coco-416x416").spec_as(PoseSpec)
    with pytest.raises(EdgehrError, match="returns no heatmaps"):
        with_decoding(get_card("yolox-nano-coco-416x416"), "udp")


def test_text_that_is_no_card_is_refused() -> None:
    for text in ("", "{", "[]", "null"):
        with pytest.raises(EdgehrError):
            ModelCard.from_json(text)


def test_parts_check_themselves() -> None:
    with pytest.raises(EdgehrError, match="bgr"):
        InputSpec(256, 192, color="gray")
    with pytest.raises(EdgehrError, match="std"):
        InputSpec(256, 192, std=(1, 1, 0))
    with pytest.raises(EdgehrError, match="odd"):
        Decoding(blur_kernel=10)
    with pytest.raises(EdgehrError, match="sigmas"):
        KeypointSet(("a", "b"), sigmas=(0.1,))


def test_flip_indices_swap_the_pairs_only() -> None:
    assert KeypointSet(("nose", "left", "right"), ((1, 2),)).flip_indices == (0, 2, 1)


@pytest.mark.parametrize(
    "names", [("left_eye", "right_eye", "nose"), ("Right Eye", "Left Eye"), ("eyeLEFT", "eyeRIGHT"), ("nose", "eye")]
)
def test_keypoints_that_are_left_by_name_swap_with_the_right_ones(names: tuple[str, ...]) -> None:
    assert KeypointSet(names, ((0, 1),)).flip_indices[:2] == (1, 0)
    if names[0] == "nose":
        assert KeypointSet(names).flip_indices == (0, 1)
        return
    with pytest.raises(EdgehrError, match="do not swap"):
        _ = KeypointSet(names).flip_indices


def test_every_known_model_can_be_flipped() -> None:
    for card in all_cards():
        if isinstance(card.spec, PoseSpec):
            assert sorted(card.spec.keypoints.flip_indices) == list(range(len(card.spec.keypoints.names)))
