"""RTMDet-nano from its raw heads, against what the published graph finds with its own boxes and suppression."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgehr.assets import group_picture, photographs
from edgehr.converters.convert import convert
from edgehr.converters.onnx.rtmdet import cut_at_heads
from edgehr.converters.source import open_source
from edgehr.errors import CheckpointError
from edgehr.runtimes import load
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.detection.two_stage.boxes import suppress
from edgehr.zoo import get_card

CARD = get_card("rtmdet-nano-person-320x320")
PUBLISHED, MOST = (0.05, 0.6), 100  # score, overlap and boxes of a picture inside the published graph


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "detectors" / "rtmdet_nano_person_320.onnx"


def test_decoding_and_suppression_are_those_of_the_published_graph(weights: Path, shared: Path) -> None:
    published = ort.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
    task, source = DetectionTask(CARD, *PUBLISHED), open_source(CARD, weights)
    pictures = [*photographs(), group_picture(), *sorted((shared / "data/coco-val2017-people/images").iterdir())[:20]]
    boxes = 0
    for path in pictures:
        batch, _ = task.preprocess(cv2.imread(str(path)))
        (dets,) = published.run(["dets"], {"input": batch})
        expected = dets[0][dets[0][:, 4] > 0]  # beyond what it found, the graph returns a row of zeros
        outputs = source.reference.infer({"input": batch})
        scores = task.scores(outputs)[0, :, 0]
        (index,) = np.nonzero(scores >= PUBLISHED[0])
        candidates = Detections(task.decoder.boxes(outputs, 0, index), scores[index])
        found = candidates[suppress(candidates.boxes, candidates.scores, PUBLISHED[1])].surest(MOST)
        assert len(found) == len(expected), path.name
        order = np.argsort(-expected[:, 4], kind="stable")
        assert np.abs(found.boxes - expected[order, :4]).max() < 1e-2, path.name
        assert np.abs(found.scores - expected[order, 4]).max() < 1e-5, path.name
        boxes += len(found)
    assert boxes > 300


@pytest.mark.slow
@pytest.mark.parametrize(("target", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml"), ("tflite", ".tflite")])
def test_every_target_takes_it(target: str, suffix: str, weights: Path, tmp_path: Path) -> None:
    report = convert(CARD, weights, target, out=tmp_path / f"a{suffix}")
    assert report.difference.relative_mean < 1e-5
    with load(report.path, threads=1) as runtime:
        (output,) = runtime.outputs
        assert output.shape == (1, 2100, 5)


@pytest.mark.slow
def test_other_sizes_and_batches(weights: Path, tmp_path: Path) -> None:
    card = CARD.with_size(416, 416)
    convert(card, weights, "onnx", batch=None, out=tmp_path / "a.onnx")
    with load(tmp_path / "a.onnx", threads=1) as runtime:
        assert runtime.inputs[0].shape == (None, 3, 416, 416)
        assert runtime.infer({"input": np.zeros((2, 3, 416, 416), np.float32)})["heads"].shape == (2, 3549, 5)


def test_a_cut_graph_is_taken_as_it_is_and_another_refused(weights: Path, tmp_path: Path, shared: Path) -> None:
    cut = cut_at_heads(onnx.load(weights), "heads")
    onnx.save(cut, tmp_path / "cut.onnx")
    assert len(open_source(CARD, tmp_path / "cut.onnx").graph(1).graph.node) == len(cut.graph.node)
    with pytest.raises(CheckpointError, match="does not fit rtmdet-nano-person-320x320"):
        open_source(CARD, shared / "detectors" / "yolox_nano_416.onnx")
