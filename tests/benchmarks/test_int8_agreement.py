"""The figures of INT8 beside float32, of results that a test makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.int8_agreement import Found, _figures, main
from edgehr.evaluation.dataset import ImageSample
from edgehr.tasks.classification.classification import Classification
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.zoo import get_card
from tests.small_classifier import COLORS, color_card


def test_a_classifier_is_judged_by_its_classes() -> None:
    samples = [ImageSample.with_boxes(number, Path(), []) for number in range(4)]
    logits = np.float32([[3, 1, 0], [3, 1, 0], [0, 2, 1], [0, 1, 4]])
    moved = logits.copy()
    moved[0, 1] = 9
    one, two = (Found(each, [Classification(row, COLORS, 3) for row in each]) for each in (logits, moved))
    figures = _figures(color_card(), samples, one, two)
    assert figures["same top-1"] == "75.0%"
    assert figures["classes"] == "3"
    assert (figures["same top-1, centered"], figures["classes, centered"]) == ("75.0%", "3")
    apart = [(each - logits.mean(axis=0)).ravel() for each in (logits, moved)]
    assert figures["correlation"] == f"{np.corrcoef(*apart)[0, 1]:.4f}"


def test_landmarks_are_judged_by_how_far_they_move() -> None:
    card = get_card("hrnetv2-w18-cofw-256x256")
    points = np.random.default_rng(0).uniform(0, 100, (1, 29, 2)).astype(np.float32)
    points[0, 8], points[0, 9] = (0, 0), (30, 40)  # the corners of the eyes, which errors are divided by
    moved = points.copy()
    moved[0, :14, 0] += 5
    box = np.float32([[0, 0, 100, 80]])

    def found(where: np.ndarray) -> Found:
        both = [where, where + 10]  # two faces, one beside the other
        return Found(np.concatenate(both), [Landmarks(box, each, np.ones((1, 29), np.float32)) for each in both])

    samples = [ImageSample.with_boxes(number, Path(), box) for number in range(2)]
    figures = _figures(card, samples, found(points), found(moved))
    assert figures["NME"] == f"{14 * 5 / 50 / 29:.2%}"
    assert figures["NME by the box"] == f"{14 * 0.05 / 29:.2%}"
    assert figures["moved, median"] == "0.00%"
    assert figures["spread"] == f"{5 * 2**0.5:.1f}%"
    assert figures["within 1%"] == f"{15 / 29:.1%}"


def test_an_unknown_task_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["poses"]) == 1
    assert capsys.readouterr().err == "int8_agreement: poses is none of classification, landmarks\n"
