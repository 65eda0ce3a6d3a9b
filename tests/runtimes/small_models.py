"""Small ONNX models to build and run."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def conv_model(batch: int | str = 1, dtype: type = np.float32) -> Any:
    """A 1x1 convolution from 3 to 4 channels and a ReLU, on `image` (batch, 3, 8, 8), to `heatmaps`."""
    kind = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16}[dtype]
    weight = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(dtype)
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["mixed"], name="mix"),
        helper.make_node("Relu", ["mixed"], ["heatmaps"], name="cut"),
    ]
    image = helper.make_tensor_value_info("image", kind, [batch, 3, 8, 8])
    result = helper.make_tensor_value_info("heatmaps", kind, [batch, 4, 8, 8])
    graph = helper.make_graph(nodes, "small", [image], [result], [numpy_helper.from_array(weight, "weight")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def unknown_operator_model() -> Any:
    """A model with an operator that no parser knows."""
    model = conv_model()
    model.graph.node[1].op_type, model.graph.node[1].name = "Sparkle", "the_odd_one"
    return model
