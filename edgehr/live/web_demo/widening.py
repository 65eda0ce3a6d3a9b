"""Half-precision constants of a `.tflite` as single ones, for LiteRT.js.

Elsewhere XNNPACK widens them once, when a model is opened. In browsers the DEQUANTIZE operators run at every inference,
which takes several times as long as all others together (docs/research/web-demo.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgehr.errors import MissingDependencyError

IDENTIFIER = b"TFL3"


def widened(data: bytes) -> bytes:
    """Return a model that computes the same with its half-precision constants widened beforehand.

    What edgehr wrote into it of itself is left out, as that is about the whole file.

    Args:
        data: A `.tflite` that LiteRT opens.

    Raises:
        MissingDependencyError: LiteRT, which ships the schema, is not installed.
    """
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise MissingDependencyError(f"LiteRT is not usable ({error}): pip install 'edgehr[tflite]'") from error
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for graph in model.subgraphs:
        graph.operators = [operator for operator in graph.operators if not _widen(operator, graph, model, schema)]
    for graph in model.subgraphs:
        _empty_unread(graph, model, schema)
    model.metadata = [entry for entry in model.metadata or [] if not entry.name.startswith(b"edgehr")]
    builder = flatbuffers.Builder(2 * len(data))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _widen(operator: Any, graph: Any, model: Any, schema: Any) -> bool:
    """Give the output of an operator that widens a constant those values; False for any other operator."""
    source = graph.tensors[operator.inputs[0]] if len(operator.inputs) else None
    code = model.operatorCodes[operator.opcodeIndex].builtinCode
    if source is None or code != schema.BuiltinOperator.DEQUANTIZE or source.type != schema.TensorType.FLOAT16:
        return False
    content = model.buffers[source.buffer].data
    if content is None or not len(content):
        return False
    single = np.frombuffer(bytes(content), np.float16).astype(np.float32)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(single.tobytes(), np.uint8)
    graph.tensors[operator.outputs[0]].buffer = len(model.buffers)
    model.buffers.append(buffer)
    return True


def _empty_unread(graph: Any, model: Any, schema: Any) -> None:
    """Drop the values of half-precision tensors that nothing takes any more."""
    read = {int(index) for operator in graph.operators for index in operator.inputs} | {int(i) for i in graph.outputs}
    kept = {tensor.buffer for index, tensor in enumerate(graph.tensors) if index in read}
    for tensor in graph.tensors:
        if tensor.type == schema.TensorType.FLOAT16 and tensor.buffer not in kept:
            model.buffers[tensor.buffer].data = None
