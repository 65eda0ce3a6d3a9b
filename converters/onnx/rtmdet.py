"""Cutting RTMDet's published graphs at their raw heads.

What follows there, boxes and non-maximum suppression, consists of operators of changing shapes, which few devices run.
Its work is done by edgehr's decoder.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Their convolutions keep the names of the network's weights in every export, unlike nodes and tensors.
_HEAD = re.compile(r"bbox_head\.rtm_(cls|reg)\.(\d+)\.weight")


def cut_at_heads(model: Any, output: str) -> Any:
    """Return a graph that ends in one output, the raw heads side by side.

    Args:
        model: The published `onnx.ModelProto`, for any number of pictures of any size.
        output: Name of the output: (N, A, 4 + C) float, for each of A places distances to the sides of a box, in
            strides, and the logit of each class.

    Returns:
        A new model; the same model where it has no such heads, which then does not fit its card.
    """
    heads: dict[tuple[str, int], str] = {}
    for node in model.graph.node:
        match = _HEAD.fullmatch(node.input[1]) if node.op_type == "Conv" else None
        if match:
            heads[match[1], int(match[2])] = node.output[0]
    levels = sorted(level for kind, level in heads if kind == "cls")
    if not levels or sorted(heads) != [(kind, level) for kind in ("cls", "reg") for level in levels]:
        return model
    nodes, rows = [], []
    for level in levels:
        joined, flat = f"{output}/level{level}", f"{output}/flat{level}"
        nodes.append(helper.make_node("Concat", [heads["reg", level], heads["cls", level]], [joined], axis=1))
        nodes.append(helper.make_node("Reshape", [joined, f"{output}/shape"], [flat]))
        rows.append(flat)
    nodes.append(helper.make_node("Concat", rows, [f"{output}/columns"], axis=2))
    nodes.append(helper.make_node("Transpose", [f"{output}/columns"], [output], perm=[0, 2, 1]))
    return _ending_in(model, nodes, output)


def _ending_in(model: Any, nodes: list[Any], output: str) -> Any:
    """Return a copy whose last nodes are others, without what these do not need."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    needed, waiting = set(), [name for node in nodes for name in node.input]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(made_by[name].input if name in made_by else ())
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    graph = cut.graph
    constants = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    # The channels of a level stay; a 0 keeps the size that is there.
    constants.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), f"{output}/shape"))
    for field, values in (
        ("initializer", constants),
        ("node", [*(node for node in model.graph.node if set(node.output) & needed), *nodes]),
        ("output", [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["batch", None, None])]),
        ("value_info", []),
    ):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    return cut
