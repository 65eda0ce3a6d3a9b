"""Artifacts beside each other: a small network in float32 and INT8, of two kinds of file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgehr.converters.report.measure import measure
from edgehr.converters.report.pictures import draw_ranks
from edgehr.converters.report.results import QualityReport
from edgehr.converters.report.table import percent, table
from edgehr.errors import EdgehrError
from edgehr.evaluation.dataset import ImageSample
from edgehr.evaluation.keypoints.evaluator import KeypointEvaluator
from edgehr.tasks.pose.poses import Poses
from edgehr.zoo import get_card
from tests.converters.report.small_graphs import (
    CARD,
    DEPTH,
    FIRST,
    HEAD,
    MACS,
    annotated,
    float_model,
    quantized,
    save,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> QualityReport:
    folder = tmp_path_factory.mktemp("report")
    paths = [
        save(float_model(), folder / "small-fp32.onnx"),
        folder / "small-int8.onnx",
        folder / "small-all-int8.onnx",
    ]
    quantized(paths[0], paths[1], leave=("head",))
    quantized(paths[0], paths[2])
    return measure(paths, annotated(folder), threads=1, rounds=3)


def test_every_artifact_has_its_figures(report: QualityReport) -> None:
    first, part, whole = report.artifacts
    assert [each.label for each in report.artifacts] == ["fp32.onnx", "int8.onnx", "all-int8.onnx"]
    assert report.setting["data"].endswith("people.json, 4 people in 2 images")
    assert report.setting["latency"] == "one image at a time, 1 thread, 3 rounds in turns"
    assert first.agreement is None
    assert first.similarity.tolist() == [1, 1, 1, 1]
    assert not first.errors
    for each, share in ((part, (FIRST + DEPTH) / MACS), (whole, 1)):
        assert each.size_bytes == each.path.stat().st_size
        assert each.coverage is not None
        assert each.coverage.int8_share == pytest.approx(share)
        assert each.agreement is not None
        assert each.agreement.oks == pytest.approx(each.similarity.mean())
        assert 0 < each.agreement.oks < 1
        assert each.agreement.people == 4
        assert len(each.errors) == 3
        assert each.compared_with == "fp32.onnx"
        assert 0 < each.latency.p50_ms <= each.latency.p90_ms
        assert each.latency.inferences == 3
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["artifacts"][1]["coverage"]["in_float"] == [
        {"operator": "Conv", "count": 1, "macs": HEAD}
    ]


def test_the_table_gives_ratios_and_differences_to_the_first(report: QualityReport) -> None:
    rows = {row.name: row.cells for row in table(report)}
    first, part, _ = report.artifacts
    assert rows["precision"] == ("fp32", "int8", "int8")
    assert rows["size"][0] == f"{first.size_bytes / 1e6:.2f} MB"
    assert rows["size"][1].endswith(f"({part.size_bytes / first.size_bytes:.2f}x)")
    assert rows["of them INT8"] == ("0 %", percent((FIRST + DEPTH) / MACS), "100 %")
    assert rows["mean OKS with first"][0] == "-"
    assert rows["stay in float"] == ("6 of 6", "1 of 5", "0 of 5")
    assert "run in INT8 here" not in rows  # ONNX Runtime does not tell
    assert all(len(cells) == 3 for cells in rows.values())


def test_pictures_go_from_the_worst_to_the_best(report: QualityReport) -> None:
    for label in ("int8.onnx", "all-int8.onnx"):
        shown = [picture for picture in report.pictures if picture.label == label]
        assert len(shown) >= 2
        assert shown[0].rank == "the least agreement"
        assert [picture.similarity for picture in shown] == sorted(picture.similarity for picture in shown)
        for picture in shown:
            drawn = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert drawn.shape[0] == 384


def test_both_skeletons_are_drawn_where_they_are(tmp_path: Path) -> None:
    """On black, one along the left of the box and one along its right; a person nobody saw is not shown."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((200, 200, 3), np.uint8))
    box = np.array([[50, 50, 150, 150]] * 2, np.float32)
    image = ImageSample.with_boxes(1, tmp_path / "a.png", box)
    heights = np.linspace(60, 140, 17)

    def standing(x: float) -> Poses:
        line = np.stack([np.full(17, x), heights], axis=1)
        return Poses(box, np.stack([line, line]).astype(np.float32), np.ones((2, 17), np.float32))

    poses = [standing(x) for x in (70, 130)]

    class Known(KeypointEvaluator):
        def similarities(self, *_: object) -> NDArray[np.float64]:
            return np.array([np.nan, 0.25])

    (picture,) = draw_ranks("b", Known(CARD), [image], *([each] for each in poses))
    assert picture.similarity == 0.25
    drawn = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    scale = 384 / 140  # the box and a fifth of it around, 30 to 170
    left, right = (drawn[190, round((x - 30) * scale)] for x in (70, 130))
    assert left[0] > left[2] + 50  # blue
    assert right[2] > right[0] + 50  # orange
    assert drawn[190, 192].max() < 40


def test_percentages_do_not_round_to_all_or_nothing() -> None:
    assert [percent(share) for share in (0, 1e-6, 0.5, 0.99999, 1, float("nan"))] == [
        "0 %",
        "< 0.1 %",
        "50.0 %",
        "> 99.9 %",
        "100 %",
        "-",
    ]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    path = save(float_model(), tmp_path / "a.onnx")
    annotations = annotated(tmp_path)
    with pytest.raises(EdgehrError, match="at least one more"):
        measure([path], annotations)
    other = save(float_model(), tmp_path / "b.onnx", card=get_card("hrnet-w32-ap10k-256x256"))
    with pytest.raises(EdgehrError, match="find other keypoints"):
        measure([path, other], annotations)
    import onnx

    onnx.save(float_model(), tmp_path / "foreign.onnx")
    with pytest.raises(EdgehrError, match="was not converted by edgehr"):
        measure([path, tmp_path / "foreign.onnx"], annotations)
