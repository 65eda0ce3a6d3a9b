"""A report of a task without poses: the metric, the words and the table are those of its evaluator."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgehr.assets import photographs
from edgehr.converters.report.measure import measure
from edgehr.converters.report.page import page
from edgehr.converters.report.table import table
from edgehr.zoo.detectors import detector_cards
from tests.converters.report.small_graphs import save

CARD = next(card for card in detector_cards() if card.name == "yolox-nano-coco-416x416")


def detector(path: Path, factor: float) -> Path:
    """A detector of one layer a grid, whose scores are multiplied by a factor."""
    rng = np.random.default_rng(0)
    nodes, constants, grids = [], [], []
    for stride in (8, 16, 32):
        size = 416 // stride
        weights = (1e-4 / stride * rng.standard_normal((85, 3, stride, stride))).astype(np.float32)
        constants += [
            numpy_helper.from_array(weights, f"w{stride}"),
            numpy_helper.from_array(np.array([1, 85, size * size]), f"s{stride}"),
        ]
        nodes += [
            helper.make_node("Conv", ["images", f"w{stride}"], [f"c{stride}"], strides=[stride, stride]),
            helper.make_node("Reshape", [f"c{stride}", f"s{stride}"], [f"g{stride}"]),
        ]
        grids.append(f"g{stride}")
    scores = np.full((1, 1, 85), factor, np.float32)
    scores[..., :4] = 1
    offset = np.zeros((1, 3549, 85), np.float32)
    offset[:, -169:, :6] = 0, 0, 1, 1, 0.7, 0.7  # a person at each place of the coarsest grid
    constants += [numpy_helper.from_array(scores, "factor"), numpy_helper.from_array(offset, "offset")]
    nodes += [
        helper.make_node("Concat", grids, ["all"], axis=2),
        helper.make_node("Transpose", ["all"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Add", ["rows", "offset"], ["moved"]),
        helper.make_node("Mul", ["moved", "factor"], [CARD.outputs[0].name]),
    ]
    image = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, 416, 416])
    result = helper.make_tensor_value_info(CARD.outputs[0].name, onnx.TensorProto.FLOAT, [1, 3549, 85])
    graph = helper.make_graph(nodes, "small", [image], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return save(model, path, card=CARD)


def annotated_boxes(folder: Path) -> Path:
    """A COCO file with one person in each of two pictures."""
    images, objects = [], []
    for number, source in enumerate(photographs()):
        height, width = cv2.imread(str(source)).shape[:2]
        images.append({"id": number, "file_name": source.name, "width": width, "height": height})
        box = [0.2 * width, 0.1 * height, 0.5 * width, 0.8 * height]
        known = {"id": number + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": box}
        objects.append({**known, "area": box[2] * box[3]})
    path = folder / "boxes.json"
    categories = [{"id": 1, "name": "person"}]
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))
    return path


def test_detectors_are_reported_by_their_own_metric(tmp_path: Path) -> None:
    paths = [detector(tmp_path / f"m-{name}.onnx", factor) for name, factor in (("a", 1.0), ("b", 0.9))]
    report = measure(paths, annotated_boxes(tmp_path), photographs()[0].parent, threads=1, rounds=1)
    assert report.setting["data"].endswith("boxes.json, 2 images")
    assert "boxes" not in report.setting
    rows = {row.name: row for row in table(report)}
    assert rows["AP"].meaning == "COCO box AP, and its difference to the first."
    first, second = report.artifacts
    assert second.agreement is not None
    assert rows["mean IoU with first"].cells == ("-", f"{second.agreement.similarity:.4f}")
    assert len(second.similarity) == len(first.similarity) > 0
    assert not report.pictures
    text = page(report)
    assert "Agreement, object by object" in text
    assert "OKS" not in text
    assert "people" not in text
