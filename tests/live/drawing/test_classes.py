"""The panel of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgehr.errors import TensorError
from edgehr.live.drawing.classes import BEST, OTHER, draw_classes
from edgehr.tasks.classification.classification import Classification
from edgehr.zoo import get_card
from tests.views import read_only, views

NAMES = get_card("hrnet-w18-imagenet-224x224").spec.classes


def result(best: float = 0.7, top: int = 5) -> Classification:
    probabilities = np.full(1000, (1 - best - 0.1) / 998, np.float32)
    probabilities[[282, 281]] = best, 0.1
    return Classification(probabilities, NAMES, top)


def drawn(height: int, width: int, shown: Classification) -> Any:
    image = np.full((height, width, 3), 255, np.uint8)
    draw_classes(image, shown)
    return image


def length(image: Any, color: tuple[int, int, int]) -> int:
    """The longest row of a color, pixels."""
    return int((np.abs(image.astype(int) - color).max(axis=2) <= 2).sum(axis=1).max())


def test_bars_are_as_long_as_the_probabilities() -> None:
    sure, unsure = drawn(600, 800, result(0.8)), drawn(600, 800, result(0.4))
    assert length(sure, BEST) == pytest.approx(2 * length(unsure, BEST), rel=0.08)
    assert 0 < length(sure, OTHER) < length(sure, BEST) / 4
    assert (sure[400:] == 255).all()  # the panel is in the upper left
    assert (sure[:, 700:] == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 60), (224, 224), (60, 900), (900, 60), (480, 640), (2160, 3840)])
def test_the_panel_fits_every_picture(size: tuple[int, int]) -> None:
    for top in (1, 5, 1000):
        image = drawn(*size, result(top=top))
        if min(size) >= 40:
            assert (image != 255).any()
            assert (image[-1] == 255).all()
            assert (image[:, -1] == 255).all()


def test_names_that_opencv_cannot_write_do_no_harm() -> None:
    odd = Classification(np.float32([0.9, 0.1]), ("Bäume\udcff", "x" * 300))
    assert (drawn(300, 400, odd) != 255).any()


IMAGE: Any = np.random.default_rng(0).integers(0, 256, (97, 171, 3), np.uint8)


def test_views_are_drawn_into_and_read_only_pictures_refused() -> None:
    expected = IMAGE.copy()
    draw_classes(expected, result())
    assert (expected != IMAGE).any()
    for layout, view in views(IMAGE).items():
        draw_classes(view, result())
        assert (view == expected).all(), layout
    with pytest.raises(TensorError, match="read-only"):
        draw_classes(read_only(IMAGE), result())
