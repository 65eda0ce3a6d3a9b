"""Small `.tflite` models, written with LiteRT's schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgehr.converters.tflite.metadata import embed
from edgehr.runtimes import Artifact

IMAGE = (1, 8, 8, 4)


@dataclass
class T:
    """A tensor: constant where it has values (zeros of weights by `const`), quantized where it has scales."""

    shape: tuple[int, ...] = IMAGE
    dtype: str = "float32"
    values: Any = None
    scales: tuple[float, ...] = ()


@dataclass
class Op:
    """An operator with the tensors it names; its options are an object of the schema."""

    name: str
    inputs: list[T | None]
    outputs: list[T] = field(default_factory=lambda: [T()])
    options: Any = None
    version: int = 1


def const(*shape: int, dtype: str = "float32", scales: tuple[float, ...] = ()) -> T:
    return T(shape, dtype, np.zeros(shape, dtype), scales)


def ints(*values: Any) -> T:
    array = np.array(values, np.int32)
    return T(array.shape, "int32", array)


def int8(*shape: int, scale: float = 0.5) -> T:
    return T(shape or IMAGE, "int8", None, (scale,))


def options(name: str, **values: Any) -> Any:
    made = getattr(schema, f"{name}OptionsT")()
    for key, value in values.items():
        assert hasattr(made, key), key
        setattr(made, key, value)
    return made


def conv(
    data: T | None = None, weights: T | None = None, bias: T | None = None, out: T | None = None, **more: Any
) -> Op:
    made = options("Conv2D", strideH=1, strideW=1, **more)
    return Op("CONV_2D", [data or T(), weights or const(4, 3, 3, 4), bias or const(4)], [out or T()], made)


def depthwise(data: T | None = None, weights: T | None = None, bias: T | None = None, out: T | None = None) -> Op:
    made = options("DepthwiseConv2D", strideH=1, strideW=1, depthMultiplier=1)
    return Op("DEPTHWISE_CONV_2D", [data or T(), weights or const(1, 3, 3, 4), bias or const(4)], [out or T()], made)


def nearest(data: T | None = None, out: T | None = None, version: int = 1) -> Op:
    made = options("ResizeNearestNeighbor", halfPixelCenters=True)
    height, width = (out or T((1, 16, 16, 4))).shape[1:3]
    return Op("RESIZE_NEAREST_NEIGHBOR", [data or T(), ints(height, width)], [out or T((1, 16, 16, 4))], made, version)


def doubling(path: Path, batch: int = 1, artifact: Artifact | None = None) -> Path:
    """Doubles `image` (batch, 3, 8, 8) and adds one, to `y`; with a signature, and a description where one is given."""
    image, doubled, result = (T((batch, 3, 8, 8)) for _ in range(3))
    two, one = (T((1,), values=np.array([value], np.float32)) for value in (2, 1))
    write(
        path,
        Op("MUL", [image, two], [doubled], options("Mul")),
        Op("ADD", [doubled, one], [result], options("Add")),
    )
    model = flatbuffer_utils.read_model(str(path))
    graph, signature = model.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
    signature.inputs[0].name, signature.inputs[0].tensorIndex = "image", graph.inputs[0]
    signature.outputs[0].name, signature.outputs[0].tensorIndex = "y", graph.outputs[0]
    model.signatureDefs = [signature]
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    path.write_bytes(embed(content, artifact) if artifact else content)
    return path


def write(path: Path, *operators: Op) -> Path:
    """Write a model whose inputs are what no operator makes, and whose outputs are what none takes."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    tensors: list[T] = []
    graph.tensors, graph.operators = [], []

    def place(tensor: T) -> int:
        for number, known in enumerate(tensors):
            if known is tensor:
                return number
        entry = schema.TensorT()
        entry.name, entry.shape = f"t{len(tensors)}".encode(), [abs(size) for size in tensor.shape]
        entry.shapeSignature = list(tensor.shape) if -1 in tensor.shape else None
        entry.type = getattr(schema.TensorType, tensor.dtype.upper())
        if tensor.values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(tensor.values).tobytes(), np.uint8)
            model.buffers.append(buffer)
            entry.buffer = len(model.buffers) - 1
        if tensor.scales:
            entry.quantization = schema.QuantizationParametersT()
            entry.quantization.scale, entry.quantization.zeroPoint = list(tensor.scales), [0] * len(tensor.scales)
        graph.tensors.append(entry)
        tensors.append(tensor)
        return len(tensors) - 1

    for operator in operators:
        code, node = schema.OperatorCodeT(), schema.OperatorT()
        builtin = getattr(schema.BuiltinOperator, operator.name, schema.BuiltinOperator.CUSTOM)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), operator.version
        code.customCode = operator.name.encode() if builtin == schema.BuiltinOperator.CUSTOM else None
        model.operatorCodes.append(code)
        node.opcodeIndex = len(model.operatorCodes) - 1
        node.inputs = [-1 if tensor is None else place(tensor) for tensor in operator.inputs]
        node.outputs = [place(tensor) for tensor in operator.outputs]
        if operator.options is not None:
            node.builtinOptionsType = getattr(schema.BuiltinOptions, type(operator.options).__name__[:-1])
            node.builtinOptions = operator.options
        graph.operators.append(node)
    taken = {number for node in graph.operators for number in node.inputs if number >= 0}
    made = {number for node in graph.operators for number in node.outputs}
    graph.inputs = sorted(number for number in taken - made if tensors[number].values is None)
    graph.outputs = sorted(made - taken)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path
