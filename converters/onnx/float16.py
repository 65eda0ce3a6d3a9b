"""Float16 inside the graph, and what must stay in float32 for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

# float16 ends at 65504. Values seen on a few crops keep this much room to it, for crops that were not seen.
LARGEST = 16384.0


def to_fp16(model: Any, crops: NDArray[np.float32], *, keep_io: bool = True) -> tuple[Any, list[str]]:
    """Cast a graph to float16 (ONNX Runtime's converter).

    Args:
        model: An `onnx.ModelProto` in float32.
        crops: (N, 3, H, W) real inputs, to find nodes whose values would overflow; those stay in float32.
        keep_io: Keep input and output in float32.

    Returns:
        The cast copy, and the names of the nodes that stayed in float32.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    kept = overflowing_nodes(model, crops)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    cast = convert_float_to_float16(copy, keep_io_types=keep_io, node_block_list=kept)
    _skip_round_trips(cast)
    return cast, kept


def _skip_round_trips(model: Any) -> None:
    """Connect float32 tensors directly where the converter goes through float16 and back, in place.

    It casts around each node that stays in float32, so that between two of them, or before the output, values would
    overflow in the very place they were kept from it.
    """
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        before = producers.get(node.input[0]) if _casts_to(node, onnx.TensorProto.FLOAT) else None
        if before is not None and _casts_to(before, onnx.TensorProto.FLOAT16):
            node.input[0] = before.input[0]
    used = {name for node in graph.node for name in node.input} | {entry.name for entry in graph.output}
    for node in [node for node in graph.node if node.op_type == "Cast" and node.output[0] not in used]:
        graph.node.remove(node)


def _casts_to(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(entry.name == "to" and entry.i == kind for entry in node.attribute)


def overflowing_nodes(model: Any, crops: NDArray[np.float32], largest: float = LARGEST) -> list[str]:
    """Names of the nodes that read or write a value beyond `largest` on real inputs."""
    import onnxruntime as ort

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    outputs = {entry.name for entry in probe.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in outputs:
                probe.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    spec, names = session.get_inputs()[0], [entry.name for entry in session.get_outputs()]
    batch = spec.shape[0] if isinstance(spec.shape[0], int) else 1
    beyond: set[str] = set()
    crops = np.resize(crops, (-(-len(crops) // batch) * batch, *crops.shape[1:]))  # repeats crops to fill the last one
    for start in range(0, len(crops), batch):  # one batch at a time: every tensor of the network is kept
        for name, value in zip(names, session.run(names, {spec.name: crops[start : start + batch]}), strict=True):
            if value.dtype == np.float32 and value.size and not np.abs(value).max() <= largest:
                beyond.add(name)
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        if np.abs(onnx.numpy_helper.to_array(tensor)).max(initial=0) > largest:
            beyond.add(tensor.name)
    return [node.name for node in model.graph.node if beyond & {*node.input, *node.output}]
