"""A segmenter that a test can do in its head: a person is what is brighter than half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.tasks.segmentation.models import small_card


def save_segmenter(path: Path, size: tuple[int, int] = (64, 64), **spec: Any) -> Path:
    """Write an ONNX artifact that tells people from the background by the mean brightness of 4x4 pixels."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from edgehr.converters.onnx.graph import described
    from edgehr.runtimes import Artifact

    card = small_card(2, size, **{"fit": "stretch", **spec})
    weight = np.float32([[-1, -1, -1], [1, 1, 1]]).reshape(2, 3, 1, 1) / 100
    nodes = [
        helper.make_node("AveragePool", ["image"], ["light"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["light", "weight", "bias"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(np.float32([3.825, -3.825]), "bias"),
    ]
    height, width = size
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, height // 4, width // 4])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(described(model, Artifact(card, "fp32", "0" * 64)), path)
    return path
