"""An ONNX graph, read once, in a form that is easy to walk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgehr.errors import EdgehrError

CONVOLUTION = "Conv"
TAIL = ("ArgMax", "Cast", "Resize")  # of labels; that of probabilities is a softmax


@dataclass(frozen=True, eq=False)
class Operator:
    """A node of a graph.

    Attributes:
        name: Unique in its graph; the name of its first output where the node has none.
        kind: Type, as ONNX calls it.
        inputs: Names of tensors; empty for one that is left out.
        outputs: Names of tensors.
        attributes: As Python values.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class Graph:
    """A float network of one input.

    Attributes:
        model: The `onnx.ModelProto`.
        operators: In an order in which they can run; without the tail.
        tail: What makes labels (resize, arg max, cast) or probabilities (softmax) of the output at the end of some
            graphs. Labels cannot be differentiated and probabilities hide errors, so that quantization looks at what
            goes into the tail.
        constants: Values by name: weights, biases, sizes.
        shapes: Shapes of the other tensors by name, (N, C, H, W) where they have four dimensions; 0 for a free one.
        input: Name of the input.
        outputs: Names of the outputs, before the tail.
        results: Names of the outputs of the whole graph.
        producer: Tensor -> the operator that makes it.
        last_use: Tensor -> index of the last operator that reads it; behind all for an output.

    Raises:
        EdgehrError: It has several inputs.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        graph = model.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.operators = []
        for node in graph.node:
            attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
            if node.op_type == "Constant" and "value" in attributes:
                self.constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
                continue
            name = str(node.name or node.output[0])
            self.operators.append(Operator(name, node.op_type, tuple(node.input), tuple(node.output), attributes))
        inputs = [entry.name for entry in graph.input if entry.name not in self.constants]
        if len(inputs) != 1:
            raise EdgehrError(f"only networks of one input can be quantized or written as TFLite, this has {inputs}")
        self.input = inputs[0]
        self.results = tuple(entry.name for entry in graph.output)
        self.tail = _tail(self.operators, self.results[0]) if len(self.results) == 1 else []
        self.operators = self.operators[: len(self.operators) - len(self.tail)]
        self.outputs = (self.tail[0].inputs[0],) if self.tail else self.results
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self.shapes = {
            entry.name: [size.dim_value for size in entry.type.tensor_type.shape.dim]
            for entry in (*inferred.value_info, *inferred.input, *inferred.output)
        }
        self.producer = {name: operator for operator in self.operators for name in operator.outputs}
        self._consumers: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in dict.fromkeys(operator.inputs):
                self._consumers.setdefault(name, []).append(operator)
        self.last_use = {name: index for index, operator in enumerate(self.operators) for name in operator.inputs}
        self.last_use.update(dict.fromkeys(self.outputs, len(self.operators)))

    @property
    def convolutions(self) -> list[Operator]:
        """List the convolutions in the order in which they run."""
        return [operator for operator in self.operators if operator.kind == CONVOLUTION]

    def consumers(self, tensor: str) -> list[Operator]:
        """Return the operators that read a tensor, in the order in which they run."""
        return self._consumers.get(tensor, [])

    def data(self, operator: Operator) -> list[str]:
        """Return the names of an operator's inputs that are no constants."""
        return [name for name in operator.inputs if name and name not in self.constants]

    @cached_property
    def shared(self) -> frozenset[str]:
        """Name the convolutions whose filter others have too: heads that look at all levels of a pyramid."""
        readers = Counter(operator.inputs[1] for operator in self.convolutions)
        return frozenset(operator.name for operator in self.convolutions if readers[operator.inputs[1]] > 1)

    def weight(self, convolution: Operator) -> NDArray[np.float32]:
        """Return the filter of a convolution, (out, in of one group, height, width)."""
        weight: NDArray[np.float32] = self.constants[convolution.inputs[1]]
        return weight

    def bias(self, convolution: Operator) -> NDArray[np.float32]:
        """Return the bias of a convolution, (out,); zeros where it has none."""
        if len(convolution.inputs) > 2 and convolution.inputs[2]:
            bias: NDArray[np.float32] = self.constants[convolution.inputs[2]]
            return bias
        return np.zeros(len(self.weight(convolution)), np.float32)

    def channels(self, tensor: str) -> int:
        """Count the channels of a tensor (N, C, H, W); 0 for one that has not four dimensions."""
        shape = self.shapes.get(tensor, [])
        return shape[1] if len(shape) == 4 else 0

    def multiply_adds(self, convolution: Operator) -> int:
        """Count the multiply-adds of a convolution for one image."""
        return int(self.weight(convolution).size * np.prod(self.shapes[convolution.outputs[0]][2:]))


def _tail(operators: list[Operator], result: str) -> list[Operator]:
    """Return the operators at the end that make labels or probabilities of the tensor before them, if any do."""
    if operators[-1].kind == "Softmax" and operators[-1].outputs == (result,):
        return operators[-1:]
    chain: list[Operator] = []
    for operator in reversed(operators):
        if operator.outputs != (result,) or operator.kind not in TAIL:
            break
        chain.insert(0, operator)
        result = operator.inputs[0]
    return chain if any(operator.kind == "ArgMax" for operator in chain) else []


def is_depthwise(weight: NDArray[Any]) -> bool:
    """Tell whether a filter, (out, in of one group, height, width), has a group for each channel."""
    return weight.shape[1] == 1 and len(weight) > 1


def identity_channels(weight: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the channels that a depthwise filter leaves unchanged, (out,); none for another filter.

    The deploy form of conditional channel weighting has such channels (`edgehr.models.deploy.channel_weighting`).
    """
    if not is_depthwise(weight) or weight.shape[2] != weight.shape[3] or weight.shape[2] % 2 == 0:
        return np.zeros(len(weight), bool)
    middle = weight.shape[2] // 2
    identity = np.zeros(weight.shape[1:], weight.dtype)
    identity[:, middle, middle] = 1
    same: NDArray[np.bool_] = (weight == identity).all((1, 2, 3))
    return same


def is_gate(graph: Graph, tensor: str) -> bool:
    """Tell whether a tensor is a sigmoid's output, resized or split, or a product of such."""
    operator = graph.producer.get(tensor)
    while operator is not None and operator.kind in ("Resize", "Split"):
        operator = graph.producer.get(operator.inputs[0])
    if operator is not None and operator.kind == "Mul":
        return len(data := graph.data(operator)) == 2 and all(is_gate(graph, name) for name in data)
    return operator is not None and operator.kind == "Sigmoid"


def copy_model(graph: Graph) -> Any:
    """Copy the `onnx.ModelProto` of a graph, to be changed in place."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    return model


def set_constants(model: Any, values: Mapping[str, NDArray[Any]]) -> None:
    """Give constants of an `onnx.ModelProto` other values, by name, in place."""
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))


def remove_constants(model: Any, names: Collection[str]) -> None:
    """Remove constants of an `onnx.ModelProto`, by name, in place."""
    remaining = [tensor for tensor in model.graph.initializer if tensor.name not in names]
    del model.graph.initializer[:]
    model.graph.initializer.extend(remaining)
