"""A small pose network of three convolutions, as ONNX, with Q and DQ by ONNX Runtime's quantizer, and as IR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgehr.assets import photographs
from edgehr.converters.onnx.graph import embed
from edgehr.runtimes.artifact import Artifact
from edgehr.zoo import get_card

CARD = get_card("litehrnet-18-coco-256x192")
# Output elements times the taps of a filter.
FIRST = 8 * 128 * 96 * (3 * 3 * 3)
DEPTH = 8 * 64 * 48 * (3 * 3)
HEAD = 17 * 64 * 48 * 8
MACS = FIRST + DEPTH + HEAD


def float_model(batch: int | str = 1) -> Any:
    """Image (batch, 3, 256, 192) to heatmaps (batch, 17, 64, 48): nodes first, cut, depth, gate, gated, head."""
    rng = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> Any:
        return numpy_helper.from_array((0.4 * rng.standard_normal(shape)).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["a"], name="first", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], name="cut"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="depth", group=8, pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Sigmoid", ["c"], ["s"], name="gate"),
        helper.make_node("Mul", ["c", "s"], ["m"], name="gated"),
        helper.make_node("Conv", ["m", "w3"], ["heatmaps"], name="head"),
    ]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [batch, 3, 256, 192])
    result = helper.make_tensor_value_info("heatmaps", onnx.TensorProto.FLOAT, [batch, 17, 64, 48])
    constants = [weights("w1", 8, 3, 3, 3), weights("w2", 8, 1, 3, 3), weights("w3", 17, 8, 1, 1)]
    graph = helper.make_graph(nodes, "small", [image], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def save(model: Any, path: Path, precision: str = "fp32", card: Any = CARD) -> Path:
    """Write a graph as an artifact."""
    embed(model, Artifact(card, precision, "0" * 64, {"edgehr": "test"}))
    onnx.save(model, path)
    return path


def quantized(source: Path, path: Path, *, leave: tuple[str, ...] = ()) -> Path:
    """Q and DQ by ONNX Runtime's quantizer, in INT8, but for the nodes to leave."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Crops(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(1)
            self._batches = iter([{"image": rng.standard_normal((1, 3, 256, 192)).astype(np.float32)} for _ in "ab"])

        def get_next(self) -> Any:
            return next(self._batches, None)

    quantize_static(
        source,
        path,
        Crops(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(leave),
    )
    model = onnx.load(path)
    model.ClearField("metadata_props")
    return save(model, path, "int8")


def as_ir(source: Path, path: Path) -> Path:
    """What OpenVINO reads of an ONNX graph, as IR."""
    import openvino as ov

    ov.save_model(ov.Core().read_model(str(source)), str(path), compress_to_fp16=False)
    return path


def annotated(folder: Path) -> Path:
    """A COCO file with two people in each of two pictures, beside `images/`."""
    (folder / "images").mkdir()
    images, people = [], []
    for number, source in enumerate(photographs()):
        picture = cv2.imread(str(source))
        height, width = picture.shape[:2]
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
        for person in range(2):
            box = [0.1 * width * person, 0.1 * height, 0.8 * width, 0.8 * height]
            known = {"id": 2 * number + person + 1, "image_id": number, "category_id": 1, "bbox": box}
            people.append({**known, "area": 0.5 * box[2] * box[3], "keypoints": [width / 2, height / 2, 2] * 17})
    path = folder / "people.json"
    path.write_text(json.dumps({"images": images, "annotations": people}))
    return path
