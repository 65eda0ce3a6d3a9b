"""The classification task: what goes in as each origin has it, and what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgehr.card import InputSpec, ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.base import Task
from edgehr.tasks.classification.classification import Classification, RankedClass
from edgehr.tasks.classification.spec import ClassificationSpec
from edgehr.tasks.classification.task import ClassificationTask
from edgehr.zoo import DEFAULT_MODEL, get_card
from tests.small_classifier import COLORS, color_card
from tests.tasks.image.test_resizing import photograph


@pytest.mark.parametrize(
    ("name", "side", "size", "method"),
    [
        ("hrnet-w18-imagenet-224x224", 256, 224, "bilinear"),  # mmpretrain: ResizeEdge 256, pillow
        ("hrnet-w18-ssld-official-imagenet-224x224", 256, 224, "bilinear"),  # torchvision: Resize int(224 / 0.875)
        ("hrnet-w18-ms-aug-imagenet-224x224", 235, 224, "bilinear"),  # timm: floor(224 / 0.95)
        ("hrnet-w18-small-gluon-imagenet-224x224", 256, 224, "bicubic"),
        ("hrnet-w48-ssld-paddle-imagenet-288x288", 288, 288, "bilinear"),
    ],
)
def test_a_picture_goes_in_as_its_origin_has_it(name: str, side: int, size: int, method: str) -> None:
    """Step by step as torchvision's transforms do it: resize by Pillow, center crop, to 0..1, normalize."""
    pillow = pytest.importorskip("PIL.Image")
    image = photograph(333, 500)
    picture = pillow.fromarray(np.ascontiguousarray(image[..., ::-1]))  # RGB
    resized = picture.resize((int(side * 500 / 333), side), pillow.Resampling[method.upper()])
    left, top = round((resized.width - size) / 2), round((resized.height - size) / 2)
    cropped = np.asarray(resized.crop((left, top, left + size, top + size))).astype(np.float64) / 255
    expected = (cropped - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    batch, _ = ClassificationTask(get_card(name)).preprocess(image)
    assert batch.shape == (1, 3, size, size)
    assert batch.dtype == np.float32
    assert batch.flags["C_CONTIGUOUS"]
    assert np.abs(batch[0].transpose(1, 2, 0) - expected).max() < 1.01 / 255 / 0.224
    assert np.abs(batch[0].transpose(1, 2, 0) - expected).mean() < 5e-4


def test_color_order_layout_and_size_are_the_card_s() -> None:
    image = np.full((64, 64, 3), (10, 20, 30), np.uint8)
    bgr = replace(color_card(), input=InputSpec(32, 32, "bgr", (10, 10, 10), (2, 2, 2)))
    batch, count = ClassificationTask(bgr).preprocess(image)
    assert (batch[0, :, 0, 0].tolist(), count) == ([0, 5, 10], 1)
    last = ClassificationTask(color_card().with_layout("nhwc")).preprocess(image)[0]
    assert last.shape == (1, 32, 32, 3)
    assert last[0, 0, 0].tolist() == [30, 20, 10]
    tall = replace(color_card(), input=InputSpec(64, 32))
    assert ClassificationTask(tall).preprocess(image)[0].shape == (1, 3, 64, 32)
    for shape in ((50, 60), (50, 60, 1), (50, 60, 4), (1, 500, 3), (500, 1, 3)):
        assert ClassificationTask(color_card()).preprocess(np.zeros(shape, np.uint8))[0].shape == (1, 3, 32, 32)


def test_pixels_or_a_fraction_say_how_large_pictures_become() -> None:
    assert ClassificationSpec(COLORS).resized_side(InputSpec(224, 224)) == 256
    assert ClassificationSpec(COLORS, crop_fraction=0.95).resized_side(InputSpec(288, 288)) == 303
    assert ClassificationSpec(COLORS, crop_fraction=224 / 232).resized_side(InputSpec(224, 224)) == 232
    assert ClassificationSpec(COLORS, short_side=232).resized_side(InputSpec(224, 224)) == 232
    with pytest.raises(EdgehrError, match=r"short_side of 256 .* smaller than the input of 288x288: .*crop_fraction"):
        ClassificationTask(color_card(288, short_side=256))


def test_logits_become_probabilities_in_order() -> None:
    task = ClassificationTask(color_card(), top=2)
    result = task.postprocess({"logits": np.array([[1000, 1001, 998]], np.float16)}, 1)
    powers = np.exp([-1.0, 0.0, -3.0])
    assert np.allclose(result.probabilities, powers / powers.sum(), atol=1e-6)
    assert result.probabilities.dtype == np.float32
    assert (len(result), [each.name for each in result]) == (2, ["forest green", "red"])
    assert result[0] == result.best == RankedClass("forest green", pytest.approx(powers[1] / powers.sum()), 1)
    assert result[-1].class_id == 0
    assert result["blue"] == pytest.approx(powers[2] / powers.sum())
    assert repr(result) == "Classification(forest green 0.705, red 0.259)"
    assert result.to_dict()["classes"][1] == {"name": "red", "class_id": 0, "probability": 0.2595}
    with pytest.raises(IndexError):
        result[2]
    with pytest.raises(EdgehrError, match="no class 'pink' among the model's 3"):
        result["pink"]
    ready = ClassificationTask(color_card(returns="probabilities"))
    assert ready.postprocess({"logits": np.float32([[0.2, 0.5, 0.3]])}, 1)["blue"] == pytest.approx(0.3)


def test_of_equal_classes_the_lower_number_comes_first() -> None:
    same = Classification(np.float32([0.25] * 4), tuple("abcd"), top=3)
    assert same.class_ids.tolist() == [0, 1, 2]
    assert len(Classification(np.float32([0.5, 0.5]), ("a", "b"))) == 2


def test_a_batch_gives_a_result_an_image_and_mirrored_ones_are_averaged() -> None:
    task = ClassificationTask(color_card())
    one, two = np.float32([[4, 0, 0], [0, 0, 4]]), np.float32([[0, 2, 0], [0, 0, 4]])
    merged = task.average_flipped({"logits": one}, {"logits": two})
    assert merged["logits"].tolist() == [[2, 1, 0], [0, 0, 4]]
    assert [each.best.name for each in task.classifications(merged)] == ["red", "blue"]
    assert task.classifications({"logits": np.zeros((0, 3), np.float32)}) == []
    difference = task.compare({"logits": one}, {"logits": two})
    assert (difference.same, difference.crops) == (0.5, 2)
    red = np.exp(4) / (np.exp(4) + 2)
    assert difference.probability_largest == pytest.approx(red - 1 / (np.exp(2) + 2), abs=1e-6)
    assert "50.0% are of the same class" in str(difference)
    headers, rows = difference.table()
    assert len(headers) == len(rows[0]) == 3


def test_wrong_outputs_and_settings_are_refused() -> None:
    task = ClassificationTask(color_card())
    for outputs, message in (
        ({"heatmaps": np.zeros((1, 3))}, "returns 'logits', got 'heatmaps'"),
        ({"logits": np.zeros((1, 1000))}, r"must be \(N, 3\) for the card's 3 classes, got \(1, 1000\)"),
        ({"logits": np.zeros(3)}, r"got \(3,\)"),
        ({"logits": np.zeros((2, 3))}, r"must hold 1 image\(s\), got 2"),
        ({"logits": np.full((1, 3), np.nan)}, "not finite"),
        ({"logits": np.array([[1, np.inf, 2]])}, "not finite"),
    ):
        with pytest.raises(TensorError, match=message):
            task.postprocess(outputs, 1)
    with pytest.raises(TensorError, match="looks at whole images"):
        task.preprocess(np.zeros((50, 50, 3), np.uint8), [0, 0, 10, 10])
    with pytest.raises(TensorError, match="uint8"):
        task.preprocess(np.zeros((50, 50, 3)))
    with pytest.raises(EdgehrError, match="top must be at least 1"):
        ClassificationTask(color_card(), top=0)
    with pytest.raises(EdgehrError, match="model for pose, not for classification"):
        ClassificationTask(get_card(DEFAULT_MODEL))
    with pytest.raises(TensorError, match=r"needs probabilities \(2,\), got \(3,\)"):
        Classification(np.zeros(3, np.float32), ("a", "b"))
    assert isinstance(Task.for_card(color_card()), ClassificationTask)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"classes": ()}, "names none"),
        ({"classes": ("cat", "dog", "cat")}, "two classes .* 'cat'"),
        ({"synsets": ("n1", "n2")}, "3 classes, but 2 synsets"),
        ({"synsets": ("n1", "n1", "n2")}, "two synsets .* 'n1'"),
        ({"crop_fraction": 0.0}, "crop_fraction must be above 0"),
        ({"crop_fraction": 1.5}, "crop_fraction must be above 0"),
        ({"short_side": -1}, "short_side must be pixels"),
        ({"interpolation": "lanczos"}, "interpolation must be one of bilinear, bicubic, got 'lanczos'"),
        ({"returns": "scores"}, "returns must be one of logits, probabilities, got 'scores'"),
    ],
)
def test_cards_that_cannot_be_meant_are_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(EdgehrError, match=message):
        color_card(**spec)


def test_the_card_travels_whole_and_says_what_it_is() -> None:
    card = color_card(interpolation="bicubic", antialias=False)
    assert ModelCard.from_json(card.to_json()) == card
    lines = dict(card.lines())
    assert lines["classes"] == "3: red, forest green, blue"
    assert lines["resize"] == "shorter side to 36 pixels, bicubic, as OpenCV does; the middle is cut out"
    assert card.spec.class_id("n00000002") == card.spec.class_id("forest green") == 1
    with pytest.raises(EdgehrError, match="knows no class 'pink', but red, forest green, blue"):
        card.spec.class_id("pink")
    many = dict(get_card("hrnet-w18-imagenet-224x224").lines())["classes"]
    assert many == "1000: tench, goldfish, great white shark, tiger shark, hammerhead and 995 more"
