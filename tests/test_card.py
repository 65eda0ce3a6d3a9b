import json

import pytest

from edgehr.card import Decoding, InputSpec, KeypointSet, ModelCard
from edgehr.errors import EdgehrError
from edgehr.zoo import DEFAULT_DETECTOR, all_cards, get_card


def test_every_card_survives_json() -> None:
    for card in all_cards():
        assert ModelCard.from_json(card.to_json()) == card


def test_with_size_renames_and_keeps_the_rest() -> None:
    card = get_card("litehrnet-18-coco-256x192")
    larger = card.with_size(384, 288)
    assert larger.name == "litehrnet-18-coco-384x288"
    assert (larger.input.height, larger.input.width) == (384, 288)
    assert larger.keypoints == card.keypoints
    assert card.with_size(256, 192) is card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"nonsense": 1}, "nonsense"),
        ({"input": {"height": 256}}, "incomplete"),
        ({"input": {"height": 0, "width": 192}}, "positive"),
        ({"decoding": {"method": "magic"}}, "magic"),
        ({"keypoints": {"names": ["a"], "flip_pairs": [[0, 1]]}}, "does not fit 1"),
        ({"keypoints": "all"}, "not an object"),
        ({"name": "../../escaped"}, "model name must be"),
        ({"weights": {"origin": "published", "file": "../../escaped.pth"}}, "plain file name"),
        ({"weights": {"origin": "published", "file": "a.pth", "url": "file:///etc/hostname"}}, "http or https"),
        ({"outputs": 5}, "not a list"),
        ({"outputs": []}, "no outputs"),
        ({"parameters": [1]}, "must be an object"),
        ({"input": {"height": 256.5, "width": 192}}, "whole numbers"),
        ({"detection": {"classes": ["person"]}}, "detection with task detection only"),
        ({"task": "detection"}, "task detection has detection"),
        ({"keypoints": {"names": []}}, "keypoints go with task pose"),
    ],
)
def test_damaged_cards_are_refused(change: dict[str, object], message: str) -> None:
    data = {**get_card("litehrnet-18-coco-256x192").to_dict(), **change}
    with pytest.raises(EdgehrError, match=message):
        ModelCard.from_json(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": []}, "not one of 0 classes"),
        ({"classes": ["a"], "person": 1}, "not one of 1 classes"),
        ({"strides": [8, 0]}, "strides must be"),
        ({"letterbox": 256}, "letterbox must be"),
        ({"anchors": 3}, "anchors"),
    ],
)
def test_damaged_detection_cards_are_refused(change: dict[str, object], message: str) -> None:
    data = get_card(DEFAULT_DETECTOR).to_dict()
    with pytest.raises(EdgehrError, match=message):
        ModelCard.from_dict({**data, "detection": {**data["detection"], **change}})


def test_cards_hold_what_their_task_needs_and_no_more() -> None:
    detector, pose = get_card(DEFAULT_DETECTOR).to_dict(), get_card("litehrnet-18-coco-256x192").to_dict()
    assert not {"decoding", "keypoints"} & set(detector)
    assert "detection" not in pose  # as in every card written before there were detectors
    for field in ("decoding", "keypoints"):
        with pytest.raises(EdgehrError, match="incomplete"):
            ModelCard.from_dict({name: value for name, value in pose.items() if name != field})


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
