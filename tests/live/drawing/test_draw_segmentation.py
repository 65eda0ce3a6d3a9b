from __future__ import annotations

import numpy as np
import pytest

import edgehr
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.segmentation.segmentation import ClassMaps, Segmentation
from tests.tasks.segmentation.models import COLORS, NAMES
from tests.views import views

HEIGHT, WIDTH = 240, 320


def person_left(*, maps: bool = True) -> Segmentation:
    """A person in the left half."""
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    classes[:, : WIDTH // 2] = 1
    logits = 8.0 * (2 * (classes == 1) - 1).astype(np.float32)
    found = ClassMaps(lambda number: logits if number == 1 else -logits, 2) if maps else None
    return Segmentation(classes, NAMES[:2], COLORS[:2], found)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def test_classes_get_their_colors_and_names_and_the_background_stays() -> None:
    image = noise()
    drawn = image.copy()
    edgehr.draw_segmentation(drawn, person_left())
    assert (drawn[:, WIDTH // 2 :] == image[:, WIDTH // 2 :]).all()
    low = slice(150, None), slice(10, 140)
    expected = 0.45 * image[low] + 0.55 * np.array(COLORS[1][::-1])
    assert np.abs(drawn[low] - expected).max() <= 1
    assert drawn[:20, :40].mean() < expected.mean() * 0.65  # the legend
    plain = image.copy()
    edgehr.draw_segmentation(plain, person_left(), legend=False)
    assert (plain[:20, :40] != drawn[:20, :40]).any()
    assert (plain[100:] == drawn[100:]).all()


def test_nothing_found_draws_nothing() -> None:
    image = noise()
    empty = Segmentation(np.zeros((HEIGHT, WIDTH), np.uint8), NAMES[:2], COLORS[:2])
    drawn = image.copy()
    edgehr.draw_segmentation(drawn, empty)
    assert (drawn == image).all()


def test_many_names_stay_inside_a_small_image() -> None:
    classes = np.arange(100, dtype=np.uint8).reshape(10, 10).repeat(4, 0).repeat(4, 1)
    names = tuple(f"class {number} with a long name\u00fc" for number in range(100))
    drawn = np.zeros((40, 40, 3), np.uint8)
    edgehr.draw_segmentation(drawn, Segmentation(classes, names, ((1, 2, 3),) * 100))


@pytest.mark.parametrize("maps", [True, False])
def test_all_but_the_person_is_blurred_softly(maps: bool) -> None:
    image = noise()
    drawn = image.copy()
    edgehr.blur_background(drawn, person_left(maps=maps))
    assert np.abs(drawn[:, :150].astype(int) - image[:, :150]).max() <= 1
    assert drawn[:, 180:].std() < image[:, 180:].std() / 4


def test_what_is_in_focus_does_not_shine_into_the_blur() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : WIDTH // 2] = 255
    edgehr.blur_background(image, person_left(), strength=0.1)
    assert image[:, : WIDTH // 2 - 4].min() > 250
    assert image[:, WIDTH // 2 + 4 :].max() < 40


def test_draws_into_whatever_inference_takes() -> None:
    expected = noise()
    edgehr.draw_segmentation(expected, person_left())
    edgehr.blur_background(expected, person_left())
    for name, image in views(noise()).items():
        edgehr.draw_segmentation(image, person_left())
        edgehr.blur_background(image, person_left())
        assert (image == expected).all(), name
    gray = noise()[..., 0]
    before = gray.copy()
    edgehr.draw_segmentation(gray, person_left())
    assert (gray != before).any()


def test_refuses_an_image_of_another_size_and_unknown_classes() -> None:
    other = np.zeros((10, 20, 3), np.uint8)
    for draw in (edgehr.draw_segmentation, edgehr.blur_background):
        with pytest.raises(TensorError, match="of an image of 320x240 pixels, not of 20x10"):
            draw(other, person_left())
    with pytest.raises(EdgehrError, match="no class 'dog'"):
        edgehr.blur_background(noise(), person_left(), "dog")
