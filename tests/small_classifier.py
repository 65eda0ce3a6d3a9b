"""A classifier that a test can do in its head: it names the color that a picture has most of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.tasks.classification.spec import ClassificationSpec

COLORS = ("red", "forest green", "blue")
SYNSETS = ("n00000001", "n00000002", "n00000003")
STEEPNESS = 0.05  # of the logits, a level of the mean color


def color_card(size: int = 32, name: str = "colors", **spec: Any) -> ModelCard:
    return ModelCard(
        name=f"{name}-{size}x{size}",
        task="classification",
        architecture="hrnet_classifier",
        dataset="colors",
        input=InputSpec(size, size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        outputs=(OutputSpec("logits", "(N, 3)"),),
        spec=ClassificationSpec(**{"classes": COLORS, "synsets": SYNSETS, **spec}),
        weights=WeightsInfo("user", "colors.pth"),
        category="image",
    )


def save_classifier(path: Path, card: ModelCard, *, batch: int | str = "N", outputs: int = 3) -> Path:
    """Write an ONNX artifact of the card whose logits are the mean red, green, blue and so on, times 0.05."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from edgehr.converters.onnx.graph import described
    from edgehr.runtimes import Artifact

    weight = np.float32(STEEPNESS * np.eye(3, outputs))
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weight"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        numpy_helper.from_array(weight, "weight"),
    ]
    side = card.input.height
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, outputs])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(described(model, Artifact(card, "fp32", "0" * 64)), path)
    return path


def plain(color: str, height: int = 40, width: int = 60) -> np.ndarray:
    """A picture of one color, BGR."""
    bgr = {"red": (20, 40, 200), "forest green": (30, 180, 60), "blue": (220, 90, 10)}[color]
    return np.full((height, width, 3), bgr, np.uint8)
