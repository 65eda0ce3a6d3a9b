"""Rewriting a `.tflite`, float or INT8, into the same function in operators that runtimes are fast at.

- Nearest upsampling before a sum or a product becomes broadcasting: each block of k x k values of the larger tensor
  meets the one value that the upsampled tensor would hold k x k times. A row of the larger tensor is one run of memory,
  so rows are taken as channels and the k rows of a block as columns: reshaping moves nothing, broadcasting brings a row
  of the smaller tensor to its k rows, and only the k copies along a row are made.
  XNNPACK has no nearest resize, so each of them also cut the graph in two.
- XNNPACK concatenates five tensors at most: longer concatenations are made in two steps.
- Each padded convolution gets a padding of its own, which XNNPACK makes part of it where nobody else reads it.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgehr.converters.tflite.builder import make_operator, make_operator_code
from edgehr.converters.tflite.layers import CHANNELS
from edgehr.converters.tflite.metadata import operator_name, pack

MAX_COPIES = 4  # of one tensor in one concatenation
MAX_CONCATENATED = 4
_PAIRS = ("ADD", "MUL")
_PADS = ("PAD", "PADV2")


def rewrite(content: bytes) -> bytes:
    """Return the same function in faster operators."""
    work = _Rewriting(content)
    for rule in (work.broadcast_upsampled, work.split_concatenation, work.separate_padding):
        work.apply(rule)
    return work.content()


def pad_rows(content: bytes) -> bytes:
    """Return the same function with paddings that copy whole rows, for CPUs that compute in half precision.

    There XNNPACK does not make paddings part of their convolutions, as it does in float32, and copies pixel by pixel, a
    few channels each. Where a row is one run of memory, it copies rows. Reshaping moves nothing.
    """
    work = _Rewriting(content)
    work.apply(work.pad_row)
    return work.content()


class _Rewriting:
    """A model whose operators are replaced one by one."""

    def __init__(self, content: bytes) -> None:
        self._model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
        self._graph = self._model.subgraphs[0]
        self._made: list[Any] = []

    def content(self) -> bytes:
        """Return the file, without tensors that nobody makes or reads any more: calibrators look at all there are."""
        graph = self._graph
        ends = [*(end for operator in graph.operators for end in (operator.inputs, operator.outputs))]
        used = sorted({int(index) for end in (*ends, graph.inputs, graph.outputs) for index in end if index >= 0})
        fresh = {old: new for new, old in enumerate(used)} | {-1: -1}  # -1: an input that is left out
        for operator in graph.operators:
            operator.inputs, operator.outputs = (_renumbered(end, fresh) for end in (operator.inputs, operator.outputs))
        graph.inputs, graph.outputs = _renumbered(graph.inputs, fresh), _renumbered(graph.outputs, fresh)
        graph.tensors = [graph.tensors[old] for old in used]
        for signature in self._model.signatureDefs or []:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = fresh[entry.tensorIndex]
        return pack(self._model)

    def apply(self, rule: Callable[[Any], bool]) -> None:
        """Go through all operators: a rule adds what replaces one and returns True, or leaves it."""
        self._readers = Counter(int(index) for operator in self._graph.operators for index in operator.inputs)
        self._readers.update(int(index) for index in self._graph.outputs)
        self._makers = {int(index): operator for operator in self._graph.operators for index in operator.outputs}
        self._made = []
        for operator in self._graph.operators:
            if not rule(operator):
                self._made.append(operator)
        used = {int(index) for operator in self._made for index in operator.inputs} | set(map(int, self._graph.outputs))
        self._graph.operators = [operator for operator in self._made if used & set(map(int, operator.outputs))]

    def broadcast_upsampled(self, operator: Any) -> bool:
        """Replace a sum or product with a nearest upsampling that nobody else reads."""
        if self._name(operator) not in _PAIRS:
            return False
        resized = [index for index in map(int, operator.inputs) if self._is_upsampled(index)]
        if len(resized) != 1 or len(operator.inputs) != 2:
            return False
        small = int(self._makers[resized[0]].inputs[0])
        other, result = int(operator.inputs[int(operator.inputs[0]) == resized[0]]), int(operator.outputs[0])
        shapes = [self._shape(index) for index in (small, resized[0], other, result)]
        batch, height, width, channels = shapes[0]
        times = shapes[1][1] // height
        if shapes[1] != [batch, height * times, width * times, channels] or shapes[1:3] != [shapes[3]] * 2:
            return False
        cells = [batch, height, times, width * times * channels]
        wide = self._reshape(self._repeat(small, times), [batch, height, 1, width * times * channels])
        sums = self._tensor(result, cells)
        order = [wide, self._reshape(other, cells)]
        operator.inputs = np.array(order if int(operator.inputs[0]) == resized[0] else order[::-1], np.int32)
        operator.outputs = np.array([sums], np.int32)
        self._made.append(operator)
        self._reshape(sums, shapes[3], result)
        return True

    def split_concatenation(self, operator: Any) -> bool:
        """Replace a concatenation of many tensors by several of few."""
        if self._name(operator) != "CONCATENATION" or len(operator.inputs) <= MAX_CONCATENATED:
            return False
        inputs, axis = list(map(int, operator.inputs)), operator.builtinOptions.axis
        while len(inputs) > MAX_CONCATENATED:
            inputs = [*inputs[:-MAX_CONCATENATED], self._concatenate(inputs[-MAX_CONCATENATED:], axis)]
        operator.inputs = np.array(inputs, np.int32)
        self._made.append(operator)
        return True

    def separate_padding(self, operator: Any) -> bool:
        """Give each of several operators that read one padding its own."""
        for place, index in enumerate(map(int, operator.inputs)):
            maker = self._makers.get(index)
            if maker is None or self._name(maker) != "PAD" or self._readers[index] < 2:
                continue
            again = copy.copy(maker)
            own = self._tensor(index, self._shape(index))
            again.outputs = np.array([own], np.int32)
            self._made.append(again)
            operator.inputs[place] = own
        return False

    def pad_row(self, operator: Any) -> bool:
        """Pad the rows and columns of a tensor, channels last, with its rows as channels of one column."""
        source, result = int(operator.inputs[0]), int(operator.outputs[0])
        if self._name(operator) not in _PADS or len(self._shape(source)) != 4:
            return False
        (batch, height, width, channels), wide = self._shape(source), self._shape(result)
        sides = self._integers(int(operator.inputs[1])).reshape(4, 2)
        if sides[[0, 3]].any():
            return False
        rows = self._reshape(source, [batch, 1, height, width * channels])
        padded = self._tensor(result, [batch, 1, wide[1], wide[2] * channels])
        sides = np.stack([sides[0], sides[0], sides[1], sides[2] * channels])
        operator.inputs = np.array([rows, self._constant(sides), *operator.inputs[2:]], np.int32)
        operator.outputs = np.array([padded], np.int32)
        self._made.append(operator)
        self._reshape(padded, wide, result)
        return True

    def _is_upsampled(self, index: int) -> bool:
        maker = self._makers.get(index)
        return maker is not None and self._name(maker) == "RESIZE_NEAREST_NEIGHBOR" and self._readers[index] == 1

    def _name(self, operator: Any) -> str:
        return operator_name(self._model, operator)

    def _shape(self, index: int) -> list[int]:
        return [int(size) for size in self._graph.tensors[index].shape]

    # What is made.

    def _repeat(self, source: int, times: int) -> int:
        while times > 1:
            copies = min(times, MAX_COPIES)
            source, times = self._concatenate([source] * copies, CHANNELS), times // copies
        return source

    def _concatenate(self, inputs: Sequence[int], axis: int) -> int:
        shape = self._shape(inputs[0])
        shape[axis] = sum(self._shape(index)[axis] for index in inputs)
        result = self._tensor(inputs[0], shape)
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        self._add("CONCATENATION", inputs, result, options)
        return result

    def _reshape(self, source: int, shape: Sequence[int], result: int | None = None) -> int:
        result = self._tensor(source, shape) if result is None else result
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        self._add("RESHAPE", [source, self._constant(np.array(shape))], result, options)
        return result

    def _tensor(self, like: int, shape: Sequence[int]) -> int:
        """Add a tensor of the type and the quantization parameters of another."""
        tensor = copy.copy(self._graph.tensors[like])
        tensor.shape, tensor.shapeSignature, tensor.buffer = np.array(shape, np.int32), None, 0
        tensor.name = f"r{len(self._graph.tensors)}".encode()
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _integers(self, index: int) -> Any:
        return np.frombuffer(bytes(self._model.buffers[self._graph.tensors[index].buffer].data), "<i4")

    def _constant(self, values: Any) -> int:
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(values.astype("<i4").tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor.shape, tensor.type = np.array(values.shape, np.int32), schema.TensorType.INT32
        tensor.buffer, tensor.name = len(self._model.buffers) - 1, f"r{len(self._graph.tensors)}".encode()
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _add(self, kind: str, inputs: Sequence[int], result: int, options: Any) -> None:
        self._made.append(make_operator(self._code(kind), inputs, [result], options))

    def _code(self, kind: str) -> int:
        builtin = getattr(schema.BuiltinOperator, kind)
        for number, code in enumerate(self._model.operatorCodes):
            if flatbuffer_utils.get_builtin_code_from_operator_code(code) == builtin:
                return number
        self._model.operatorCodes.append(make_operator_code(kind))
        return len(self._model.operatorCodes) - 1


def _renumbered(indices: Any, fresh: dict[int, int]) -> Any:
    return np.array([fresh[int(index)] for index in indices], np.int32)
