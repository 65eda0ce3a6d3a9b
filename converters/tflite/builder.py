"""Building a `.tflite` from nothing: tensors, constants and operators, as the schema that LiteRT ships has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgehr.converters.tflite.metadata import pack

SCHEMA_VERSION = 3
SIGNATURE = "serving_default"  # what runtimes look for when no name is given
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.uint8): schema.TensorType.UINT8,
}
# Versions in which operators take INT8 or have the options that are written; every other operator has version 1.
_VERSIONS = {
    "ADD": 2, "BATCH_MATMUL": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "DEQUANTIZE": 2,
    "FULLY_CONNECTED": 5, "MUL": 2, "PAD": 2, "RESIZE_BILINEAR": 3, "RESIZE_NEAREST_NEIGHBOR": 3, "SLICE": 2,
    "TRANSPOSE_CONV": 3,
}  # fmt: skip


@dataclass(frozen=True)
class QuantizationParameters:
    """What integers stand for: real = scale * (integer - zero_point).

    Attributes:
        scales: One, or one for each index along `axis`.
        zero_point: The integer that stands for zero.
        axis: The dimension that several scales belong to.
    """

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


class Builder:
    """A model of one graph; tensors are numbers."""

    def __init__(self) -> None:
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._buffers = [schema.BufferT()]
        self._codes: dict[str, int] = {}
        self._constants: dict[Any, int] = {}

    def tensor(self, shape: Sequence[int], dtype: Any, quantization: QuantizationParameters | None = None) -> int:
        """Add a tensor that an operator is going to make."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type = np.array(shape, np.int32), _TYPES[np.dtype(dtype)]
        tensor.name = f"t{len(self._graph.tensors)}".encode()
        if quantization is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(quantization.scales, np.float32)
            tensor.quantization.zeroPoint = np.full(len(quantization.scales), quantization.zero_point, np.int64)
            tensor.quantization.quantizedDimension = quantization.axis
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, value: NDArray[Any], quantization: QuantizationParameters | None = None) -> int:
        """Add a constant; equal ones are one tensor."""
        value = np.ascontiguousarray(value)
        key = (value.dtype.str, value.shape, value.tobytes(), quantization)
        if key not in self._constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self._buffers.append(buffer)
            number = self.tensor(value.shape, value.dtype, quantization)
            self._graph.tensors[number].buffer = len(self._buffers) - 1
            self._constants[key] = number
        return self._constants[key]

    def integers(self, values: Sequence[Any] | NDArray[Any]) -> int:
        """Add a constant of 32-bit integers: sizes, axes, paddings."""
        return self.constant(np.array(values, np.int32))

    def number(self, value: float) -> int:
        """Add a float constant of one number."""
        return self.constant(np.array([value], np.float32))

    def add(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> None:
        """Add an operator behind those that are there.

        Args:
            kind: ``CONV_2D``, ...
            inputs: Tensors.
            outputs: Tensors.
            options: Of the schema, ``Conv2DOptionsT`` for one; None where the type has none that matter.
        """
        code = self._codes.setdefault(kind, len(self._codes))
        self._graph.operators.append(make_operator(code, inputs, outputs, options))

    def finish(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """Return the file, with one signature.

        Args:
            inputs: Tensors by the names that callers use.
            outputs: The same.
        """
        model, graph = schema.ModelT(), self._graph
        for name, number in (*inputs.items(), *outputs.items()):
            graph.tensors[number].name = name.encode()
        graph.inputs, graph.outputs = (np.array(list(ends.values()), np.int32) for ends in (inputs, outputs))
        model.version, model.subgraphs, model.buffers = SCHEMA_VERSION, [graph], self._buffers
        model.operatorCodes = [make_operator_code(kind) for kind in self._codes]
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
        signature.inputs, signature.outputs = _tensor_maps(inputs), _tensor_maps(outputs)
        model.signatureDefs = [signature]
        return pack(model)


def make_operator(code: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> Any:
    """Make an operator of the number of its code, its tensors, and its options of the schema."""
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    if options is not None:
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    return operator


def make_operator_code(kind: str) -> Any:
    """Make the code of a type of operator, in the version that takes INT8."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # readers of older files look here
    code.version = _VERSIONS.get(kind, 1)
    return code


def _tensor_maps(ends: dict[str, int]) -> list[Any]:
    maps = []
    for name, number in ends.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), number
        maps.append(entry)
    return maps
