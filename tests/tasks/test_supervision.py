"""Results as supervision's types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgehr.errors import MissingDependencyError
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.segmentation.segmentation import Segmentation
from tests.tasks.sample_results import (
    ALL,
    BOXES,
    CLASSES,
    CLASSIFICATION,
    DETECTIONS,
    FACES,
    LANDMARKS,
    MAP,
    MASKED,
    POINT_SCORES,
    POINTS,
    POSES,
    SEGMENTATION,
)


def test_without_supervision_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for result in ALL:
        with pytest.raises(MissingDependencyError, match=r"needs supervision: pip install 'edgehr\[supervision\]'"):
            result.to_supervision()


@pytest.fixture(scope="module")
def sv() -> Any:
    return pytest.importorskip("supervision", reason="needs supervision, which the extra `dev` brings")


def test_poses_in_supervision(sv: Any) -> None:
    found = POSES.to_supervision()
    assert isinstance(found, sv.KeyPoints)
    np.testing.assert_array_equal(found.xy, POINTS)
    np.testing.assert_array_equal(found.keypoint_confidence, POINT_SCORES)
    assert found[1].xy.tolist() == POINTS[1:].tolist()
    assert found.data["tracker_id"].tolist() == [7, -1]
    assert found.as_detections().xyxy.tolist() == [[11, 21, 12, 22], [1, 2, 3, 4]]
    assert isinstance(LANDMARKS.to_supervision(), sv.KeyPoints)
    assert "tracker_id" not in LANDMARKS.to_supervision().data
    assert len(POSES[:0].to_supervision()) == 0


def test_supervision_draws_poses(sv: Any) -> None:
    black = np.zeros((80, 60, 3), np.uint8)
    found = POSES.to_supervision()
    drawn = sv.EdgeAnnotator(sv.Color.WHITE, 1, edges=[(1, 2)]).annotate(black.copy(), found)
    assert drawn[21, 11].tolist() == drawn[22, 12].tolist() == drawn[3, 2].tolist() == [255] * 3
    found.visible = found.keypoint_confidence > 0.3
    drawn = sv.VertexAnnotator(sv.Color.WHITE, 1).annotate(black.copy(), found)
    assert drawn[21, 11].any()
    assert not drawn[4, 3].any()
    drawn = sv.VertexAnnotator().annotate(black.copy(), POSES[:0].to_supervision())
    assert not drawn.any()


def test_detections_in_supervision(sv: Any) -> None:
    found = DETECTIONS.to_supervision()
    assert isinstance(found, sv.Detections)
    assert found.xyxy.tolist() == BOXES.tolist()
    assert found.class_id.tolist() == [2, 0]
    assert found[found.confidence > 0.6]["class_name"].tolist() == ["dog"]
    assert FACES.to_supervision().data["points"].shape == (1, 2, 2)
    masked = MASKED.to_supervision()
    np.testing.assert_array_equal(masked.mask, [MAP == 1, MAP == 3])
    assert masked[1].area.tolist() == [1]
    for nothing in (DETECTIONS[:0], MASKED[:0], Detections.none()):
        assert len(nothing.to_supervision()) == 0
        sv.BoxAnnotator().annotate(np.zeros((80, 60, 3), np.uint8), nothing.to_supervision())
    for some in (MASKED, MASKED[:0]):
        drawn = sv.MaskAnnotator().annotate(np.zeros((3, 4, 3), np.uint8), some.to_supervision())
        assert drawn.any() == bool(len(some))


def test_segmentations_in_supervision(sv: Any) -> None:
    found = SEGMENTATION.to_supervision()
    assert found["class_name"].tolist() == ["person", "rabbit"]
    assert found.class_id.tolist() == [1, 3]
    np.testing.assert_array_equal(found.mask, [MAP == 1, MAP == 3])
    assert found.area.tolist() == [6, 1]
    assert found.xyxy[0].tolist() == [1, 0, 3, 1]  # supervision's boxes of masks end on their last pixels
    empty = Segmentation(np.zeros((3, 4), np.uint8), CLASSES, ((0, 0, 0),) * 4).to_supervision()
    for each in (found, empty):
        sv.MaskAnnotator().annotate(np.zeros((3, 4, 3), np.uint8), each)
    assert len(empty) == 0


def test_classifications_in_supervision(sv: Any) -> None:
    found = CLASSIFICATION.to_supervision()
    assert isinstance(found, sv.Classifications)
    numbers, probabilities = found.get_top_k(2)
    assert (numbers.tolist(), probabilities.tolist()) == ([1, 2], pytest.approx([0.7, 0.2]))
