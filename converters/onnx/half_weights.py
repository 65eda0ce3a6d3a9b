"""Weights in half precision that runtimes widen as they load a graph, and compute with in float32.

That halves a file and costs no speed; a graph in float16 throughout is slow on CPUs that lack its arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Those of fewer dimensions, biases for one, are small.
LEAST_RANK = 2
_NARROW = ":half"


def narrow_weights(model: Any) -> Any:
    """Return a copy that stores weights in float16, each behind a cast to float32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < LEAST_RANK:
            continue
        name, half = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, name + _NARROW))
        casts.append(helper.make_node("Cast", [name + _NARROW], [name], name=name + ":widen", to=TensorProto.FLOAT))
    nodes = [*casts, *copy.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def widen_weights(model: Any) -> Any:
    """Undo `narrow_weights`: return a copy in which weights of float16 are float32, without the casts."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    halves = {tensor.name: tensor for tensor in copy.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    left = []
    for node in copy.graph.node:
        if node.op_type == "Cast" and node.input[0] in halves and node.attribute[0].i == TensorProto.FLOAT:
            tensor = halves[node.input[0]]
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), node.output[0]))
        else:
            left.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(left)
    return copy
