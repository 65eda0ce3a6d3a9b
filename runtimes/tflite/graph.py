"""What a `.tflite` holds, read from the file: operators, their tensors and options, and how much they multiply.

Nothing is run: of LiteRT, only the schema that it ships (`ai_edge_litert.schema_py_generated`) is needed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from edgehr.errors import ArtifactError, MissingDependencyError

# Constants of axes, paddings, strides and sizes are kept; weights are not.
MAX_VALUES = 64
_INTEGERS = {"int32": "<i4", "int64": "<i8"}
# What the parser raises where offsets and lengths lead nowhere.
_DAMAGE = (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)
# A file's name for an option, where a shorter one is as clear.
_SHORTER = {
    "fused_activation_function": "fused_activation",
    "dilation_h_factor": "dilation_h",
    "dilation_w_factor": "dilation_w",
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        name: As in the file; not always unique.
        shape: Dimensions; -1 where they are dynamic.
        dtype: ``float32``, ``float16``, ``int8``, ``uint8``, ``int32``, ...
        constant: Its values are in the file.
        scales: Quantization scales: 0 is not quantized, 1 is per tensor, more is per channel.
        axis: The dimension that the scales of a per-channel quantization belong to; None for any other tensor.
        scale: The first of the scales; 0 where there is none.
        zero_point: The first of the zero points.
        values: Values of a small constant of int32 or int64, row by row; None for any other tensor.
        unpacked: Made from a constant alone by DEQUANTIZE or DENSIFY, as float16 weights are.
        index: Its number in the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    scales: int
    axis: int | None = None
    scale: float = 0.0
    zero_point: int = 0
    values: tuple[int, ...] | None = None
    unpacked: bool = False
    index: int = -1

    @property
    def static(self) -> bool:
        """Known before the first inference."""
        return self.constant or self.unpacked

    @property
    def elements(self) -> int:
        """Count the elements; a dynamic dimension counts as 1."""
        return prod(abs(size) for size in self.shape)


@dataclass(frozen=True)
class Operator:
    """A node of the graph.

    Attributes:
        name: ``CONV_2D``, ...; the custom code of a custom operator.
        version: Of the operator, as in the file.
        inputs: Its inputs; None for an optional one that is absent.
        outputs: Its outputs.
        options: Its options as plain values: ``stride_h``, ``padding`` (``SAME`` or ``VALID``), ``dilation_h``,
            ``fused_activation`` (``NONE``, ``RELU``, ...), ``align_corners``, ``half_pixel_centers``, ``axis``, ...
        macs: Multiply-adds of one inference: of convolutions and matrix products, 0 of everything else, which moves
            data or works element by element.
    """

    name: str
    version: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    macs: int = 0


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a model, which is the model unless it has control flow.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs.
        operators: In the order in which they run.
        signatures: Names of the file's signatures.
        subgraphs: How many the file has; all but the first are bodies of control flow (IF, WHILE) or more signatures.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    signatures: tuple[str, ...] = ()
    subgraphs: int = 1

    @property
    def macs(self) -> int:
        """Multiply-adds of one inference."""
        return sum(operator.macs for operator in self.operators)


def read_graph(path: Path) -> Graph:
    """Read the graph of a `.tflite`.

    Raises:
        ArtifactError: The file is missing, is no TFLite model, or is damaged.
        MissingDependencyError: `ai-edge-litert` or `flatbuffers` is not installed.
    """
    schema = _schema()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
    if data[4:8] != b"TFL3":
        raise ArtifactError(f"{path}: is no TFLite model: truncated or foreign")
    try:
        return _Reader(schema, data).graph()
    except _DAMAGE as error:
        raise ArtifactError(f"{path}: is a damaged TFLite model ({error})") from None


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingDependencyError(
            f"ai-edge-litert and flatbuffers are not usable ({error}): pip install 'edgehr[tflite]'"
        ) from error
    return schema_py_generated


class _Reader:
    """A file being read."""

    def __init__(self, schema: Any, data: bytes) -> None:
        self._schema = schema
        self._model = schema.Model.GetRootAs(data, 0)
        self._names = {kind: _names(getattr(schema, kind)) for kind in ("TensorType", "BuiltinOperator")}
        self._enums = {
            "padding": _names(schema.Padding),
            "fused_activation": _names(schema.ActivationFunctionType),
            "mode": _names(schema.MirrorPadMode),
        }

    def graph(self) -> Graph:
        """Return the first subgraph."""
        model = self._model
        if not model.SubgraphsLength():
            raise ValueError("it has no graph")
        subgraph = model.Subgraphs(0)
        nodes = [subgraph.Operators(number) for number in range(subgraph.OperatorsLength())]
        kinds = [self._kind(node.OpcodeIndex()) for node in nodes]
        constant = [self._is_constant(subgraph.Tensors(number)) for number in range(subgraph.TensorsLength())]
        unpacked = set()
        for node, (name, _) in zip(nodes, kinds, strict=True):
            if name in ("DEQUANTIZE", "DENSIFY"):
                source = node.Inputs(0)
                if constant[source] or source in unpacked:
                    unpacked.add(node.Outputs(0))
        tensors = [
            self._tensor(subgraph.Tensors(number), number, constant[number], number in unpacked)
            for number in range(len(constant))
        ]
        return Graph(
            inputs=_chosen(tensors, subgraph.InputsAsNumpy()),
            outputs=_chosen(tensors, subgraph.OutputsAsNumpy()),
            operators=tuple(
                self._operator(node, name, version, tensors) for node, (name, version) in zip(nodes, kinds, strict=True)
            ),
            signatures=tuple(
                _text(model.SignatureDefs(number).SignatureKey()) for number in range(model.SignatureDefsLength())
            ),
            subgraphs=model.SubgraphsLength(),
        )

    def _kind(self, number: int) -> tuple[str, int]:
        """Read name and version of an operator code."""
        code = self._model.OperatorCodes(number)
        # Files older than schema 3a have the code in a field of one byte only.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self._names["BuiltinOperator"].get(builtin, f"operator {builtin}")
        return (_text(code.CustomCode()) if name == "CUSTOM" else name), code.Version()

    def _is_constant(self, tensor: Any) -> bool:
        buffer = self._model.Buffers(tensor.Buffer()) if tensor.Buffer() else None
        # An offset is that of values behind the FlatBuffer, as in files of more than 2 GB.
        return buffer is not None and not tensor.IsVariable() and (buffer.DataLength() > 0 or buffer.Offset() > 1)

    def _tensor(self, tensor: Any, number: int, constant: bool, unpacked: bool) -> Tensor:
        dtype = self._names["TensorType"][tensor.Type()].lower()
        sizes = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
        quantization = tensor.Quantization()
        scales = 0 if quantization is None else quantization.ScaleLength()
        return Tensor(
            name=_text(tensor.Name()),
            shape=_integers(sizes),
            dtype=dtype,
            constant=constant,
            scales=scales,
            axis=quantization.QuantizedDimension() if scales > 1 else None,
            scale=float(quantization.Scale(0)) if scales else 0.0,
            zero_point=int(quantization.ZeroPoint(0)) if scales and quantization.ZeroPointLength() else 0,
            values=self._values(tensor, dtype) if constant else None,
            unpacked=unpacked,
            index=number,
        )

    def _values(self, tensor: Any, dtype: str) -> tuple[int, ...] | None:
        buffer = self._model.Buffers(tensor.Buffer())
        if dtype not in _INTEGERS or not 0 < buffer.DataLength() <= MAX_VALUES * 8:
            return None
        return _integers(np.frombuffer(buffer.DataAsNumpy().tobytes(), _INTEGERS[dtype]))

    def _operator(self, node: Any, name: str, version: int, tensors: list[Tensor]) -> Operator:
        numbers = _integers(node.InputsAsNumpy())
        inputs = tuple(None if number == -1 else tensors[_checked(number)] for number in numbers)
        outputs = _chosen(tensors, node.OutputsAsNumpy())
        options = self._options(node)
        return Operator(name, version, inputs, outputs, options, _macs(name, inputs, outputs, options))

    def _options(self, node: Any) -> Mapping[str, object]:
        content = self._schema.BuiltinOptionsCreator(node.BuiltinOptionsType(), node.BuiltinOptions())
        options: dict[str, object] = {}
        for key, value in vars(content).items() if content is not None else ():
            name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower()
            name = _SHORTER.get(name, name)
            if isinstance(value, (np.ndarray, list)):
                options[name] = tuple(getattr(item, "item", lambda item=item: item)() for item in value)
            elif name in self._enums:
                options[name] = self._enums[name].get(value, str(value))
            elif value is None or isinstance(value, (bool, int, float, str)):
                options[name] = value
            elif isinstance(value, bytes):
                options[name] = value.decode(errors="replace")
        return MappingProxyType(options)


def _macs(
    name: str, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], options: Mapping[str, object]
) -> int:
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"):
        return 0
    first, second = inputs[0], inputs[1]
    if first is None or second is None or not outputs:
        raise ValueError(f"{name} lacks inputs or outputs")
    weights, made = [abs(size) for size in second.shape], outputs[0].elements
    if name == "CONV_2D":  # filter (out, height, width, in of one group)
        return made * prod(weights[1:])
    if name == "DEPTHWISE_CONV_2D":  # filter (1, height, width, out)
        return made * weights[1] * weights[2]
    if name == "TRANSPOSE_CONV":  # every input element times a filter (out, height, width, in); input 0 is a size
        third = inputs[2]
        return 0 if third is None else third.elements * weights[0] * weights[1] * weights[2]
    if name == "FULLY_CONNECTED":  # filter (out, in)
        return made * weights[1]
    return made * abs(first.shape[-2 if options.get("adj_x") else -1])


def _names(kind: Any) -> dict[int, str]:
    return {value: name for name, value in vars(kind).items() if isinstance(value, int) and not name.startswith("_")}


def _chosen(tensors: list[Tensor], numbers: Any) -> tuple[Tensor, ...]:
    return tuple(tensors[_checked(number)] for number in _integers(numbers))


def _checked(number: int) -> int:
    if number < 0:  # it would count from the end
        raise IndexError(f"tensor {number}")
    return number


def _integers(array: Any) -> tuple[int, ...]:
    """Return an array of the parser, which gives 0 for one that is absent."""
    return () if isinstance(array, int) else tuple(int(value) for value in array)


def _text(text: bytes | None) -> str:
    return "" if text is None else text.decode(errors="replace")
