from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.segmentation.segmentation import ClassMaps, Segmentation
from tests.tasks.segmentation.models import COLORS, NAMES, small_card

MAP = np.array([[0, 1, 1], [0, 1, 3]], np.uint8)


def test_names_what_is_there() -> None:
    found = Segmentation(MAP, NAMES, COLORS)
    assert (len(found), found.present) == (2, ("person", "sky"))
    assert found.areas == {"person": 0.5, "background": 2 / 6, "sky": 1 / 6}
    assert found.mask("person").tolist() == [[False, True, True], [False, True, False]]
    assert not found.mask("tree").any()
    assert len(Segmentation(np.zeros((2, 2), np.uint8), NAMES, COLORS)) == 0


def test_is_written_with_masks_as_coco_has_them() -> None:
    found = Segmentation(MAP, NAMES, COLORS)
    assert found.to_dict() == {
        "size": [2, 3],
        "classes": [
            {"name": "person", "area": 0.5, "rle": {"size": [2, 3], "counts": [2, 3, 1]}},
            {"name": "sky", "area": 0.166667, "rle": {"size": [2, 3], "counts": [5, 1]}},
        ],
    }
    assert found.to_dict(masks=False)["classes"][1] == {"name": "sky", "area": 0.166667}
    full = Segmentation(np.ones((2, 2), np.uint8), NAMES, COLORS)
    assert full.to_dict()["classes"][0]["rle"]["counts"] == [0, 4]


def test_the_first_of_equal_classes_is_taken_and_extreme_logits_are_probabilities() -> None:
    logits = np.array([[[1, 5e4]], [[1, -5e4]], [[0, 0]]], np.float32)
    maps = ClassMaps(lambda number: logits[number], 3)
    assert maps.most_likely().tolist() == [[0, 0]]
    expected = np.exp([1, 1, 0]) / np.exp([1, 1, 0]).sum()
    for number in range(3):
        assert maps.probability(number)[0] == pytest.approx([expected[number], float(number == 0)])


@pytest.mark.filterwarnings("error")
def test_many_classes_take_16_bits() -> None:
    maps = ClassMaps(lambda number: np.full((1, 2), number, np.float32), 300)
    assert maps.most_likely().tolist() == [[299, 299]]
    assert maps.most_likely().dtype == np.uint16


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        (MAP.astype(np.int64), "uint8 or uint16, got int64"),
        (MAP[None], r"got uint8 \(1, 2, 3\)"),
        (MAP + 3, "holds 6, but there are 4 classes"),
    ],
)
def test_refuses_maps_that_are_none(class_map: Any, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        Segmentation(class_map, NAMES, COLORS)


def test_unknown_classes_are_named_with_near_ones() -> None:
    found = Segmentation(MAP, NAMES, COLORS)
    with pytest.raises(EdgehrError, match="no class 'persons'; near are person"):
        found.mask("persons")
    with pytest.raises(EdgehrError, match="no class 'xyz'; it has background, person"):
        found.probability("xyz")


def test_a_card_survives_json() -> None:
    card = small_card(scale=(2048, 512), label_values=(1, 2, 3), ignored_values=(0, 255))
    assert ModelCard.from_json(card.to_json()) == card
    assert dict(card.lines())["fit"] == "slide over pictures within 2048x512, overlap 0.33"
    assert card.spec.finds == "3 classes"
    assert small_card(2).spec.finds == "person"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ("one",)}, "two classes or more"),
        ({"classes": ("a", "b", "a")}, "two classes of the card have the name 'a'"),
        ({"palette": ((0, 0, 0),)}, "names 3 classes, but 1 colors"),
        ({"palette": ((0, 0, 0), (1, 1, 1), (0, 256, 0))}, "0 to 255"),
        ({"fit": "crop"}, "fit must be one of slide, letterbox, stretch, got 'crop'"),
        ({"scale": (512, 2048)}, "longest long and short side"),
        ({"scale": (512, 0)}, "longest long and short side"),
        ({"overlap": 1}, "overlap of windows must be 0 to below 1"),
        ({"label_values": (1, 2)}, "names 3 classes, but label_values of 2"),
        ({"label_values": (1, 2, 2)}, "the same value in label images"),
        ({"label_values": (1, 2, -3)}, "must be 0 to 65535"),
        ({"palette": ((0, 0), (1, 1), (2, 2))}, "palette in the model card's SegmentationSpec must be"),
    ],
)
def test_cards_that_cannot_be_meant_are_refused(fields: dict[str, Any], message: str) -> None:
    data = small_card().to_dict()
    data["spec"] = {**data["spec"], **fields}
    with pytest.raises(EdgehrError, match=message):
        ModelCard.from_dict(_lists(data))


def _lists(value: Any) -> Any:
    """Tuples as JSON has them."""
    if isinstance(value, dict):
        return {name: _lists(item) for name, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
