"""Graphs in float16, with what would overflow left in float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx

from edgehr.runtimes.tensors import Tensors

# float16 ends at 65504. Values seen on a few crops keep this much room to it, for crops that were not seen.
MAX_VALUE = 16384.0


def to_fp16(model: Any, samples: Sequence[Tensors], *, keep_io: bool = True) -> tuple[Any, list[str]]:
    """Cast a graph to float16 (ONNX Runtime's converter).

    Args:
        model: An `onnx.ModelProto` in float32.
        samples: Real inputs by name, (N, ...) each, to find nodes whose values would overflow; those stay in float32.
        keep_io: Keep input and output in float32.

    Returns:
        The cast copy, and the names of the nodes that stayed in float32.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    import edgehr.runtimes.onnx.library  # noqa: F401 - before its subpackage: how it is imported matters

    kept = overflowing_nodes(model, samples)
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


def overflowing_nodes(model: Any, samples: Sequence[Tensors], largest: float = MAX_VALUE) -> list[str]:
    """Name the nodes that read or write a value beyond `largest` on real inputs."""
    from edgehr.runtimes.onnx.library import ort

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    outputs = {entry.name for entry in probe.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in outputs:
                probe.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    names, size = [entry.name for entry in session.get_outputs()], session.get_inputs()[0].shape[0]
    beyond: set[str] = set()
    for inputs in _batches(samples, size if isinstance(size, int) else 1):
        for name, value in zip(names, session.run(names, inputs), strict=True):
            if value.dtype == np.float32 and value.size and not np.abs(value).max() <= largest:
                beyond.add(name)
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        if np.abs(onnx.numpy_helper.to_array(tensor)).max(initial=0) > largest:
            beyond.add(tensor.name)
    return [node.name for node in model.graph.node if beyond & {*node.input, *node.output}]


def _batches(samples: Sequence[Tensors], size: int) -> Iterator[Tensors]:
    """Cut samples into batches, one at a time, since every tensor of the network is kept; the last is filled up."""
    for sample in samples:
        count = len(next(iter(sample.values())))
        whole = {name: np.resize(array, (-(-count // size) * size, *array.shape[1:])) for name, array in sample.items()}
        for start in range(0, count, size):
            yield {name: array[start : start + size] for name, array in whole.items()}
