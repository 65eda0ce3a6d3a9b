"""An ONNX graph, read once, in a form that is easy to walk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgehr.errors import EdgehrError

CONVOLUTION = "Conv"


@dataclass(frozen=True, eq=False)
class Operator:
    """One node.

    Attributes:
        name: Unlike that of any other; that of its output where it has none.
        kind: Its type.
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
    """A float network of one input and one output.

    Attributes:
        model: The `onnx.ModelProto`.
        operators: In an order in which they can run.
        constants: Values by name: weights, biases, sizes.
        shapes: Of the other tensors, (N, C, H, W) where they have four dimensions; 0 for a free dimension.
        input: Name of the input.
        output: Name of the output.
        maker: The operator that makes a tensor.
        last_use: Tensor -> place of the last operator that reads it.

    Raises:
        EdgehrError: It has several inputs or outputs.
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
        outputs = [entry.name for entry in graph.output]
        if len(inputs) != 1 or len(outputs) != 1:
            raise EdgehrError(
                f"only networks of one input and one output can be quantized, this has {inputs} and {outputs}"
            )
        self.input, self.output = inputs[0], outputs[0]
        self.shapes = _shapes(model)
        self.maker = {name: operator for operator in self.operators for name in operator.outputs}
        self._readers: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in dict.fromkeys(operator.inputs):
                self._readers.setdefault(name, []).append(operator)
        self.last_use = {name: place for place, operator in enumerate(self.operators) for name in operator.inputs}

    @property
    def convolutions(self) -> list[Operator]:
        """In the order in which they run."""
        return [operator for operator in self.operators if operator.kind == CONVOLUTION]

    def readers(self, tensor: str) -> list[Operator]:
        """The operators that take a tensor, in the order in which they run."""
        return self._readers.get(tensor, [])

    def data(self, operator: Operator) -> list[str]:
        """Names of what an operator takes that is no constant."""
        return [name for name in operator.inputs if name and name not in self.constants]

    def weight(self, convolution: Operator) -> NDArray[np.float32]:
        """Filter of a convolution, (out, in of one group, height, width)."""
        weight: NDArray[np.float32] = self.constants[convolution.inputs[1]]
        return weight

    def bias(self, convolution: Operator) -> NDArray[np.float32]:
        """Bias of a convolution, (out,); zeros where it has none."""
        if len(convolution.inputs) > 2 and convolution.inputs[2]:
            bias: NDArray[np.float32] = self.constants[convolution.inputs[2]]
            return bias
        return np.zeros(len(self.weight(convolution)), np.float32)

    def channels(self, tensor: str) -> int:
        """Of a tensor (N, C, H, W); 0 for a tensor that has not four dimensions."""
        shape = self.shapes.get(tensor, [])
        return shape[1] if len(shape) == 4 else 0


def is_depthwise(weight: NDArray[Any]) -> bool:
    """Whether a filter, (out, in of one group, height, width), is one for each channel."""
    return weight.shape[1] == 1 and len(weight) > 1


def passing_channels(weight: NDArray[Any]) -> NDArray[np.bool_]:
    """(out,) which channels a depthwise filter lets pass unchanged; none for another filter.

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
    """Whether a tensor is a sigmoid's, resized or cut, or a product of such."""
    operator = graph.maker.get(tensor)
    while operator is not None and operator.kind in ("Resize", "Split"):
        operator = graph.maker.get(operator.inputs[0])
    if operator is not None and operator.kind == "Mul":
        return len(data := graph.data(operator)) == 2 and all(is_gate(graph, name) for name in data)
    return operator is not None and operator.kind == "Sigmoid"


def added_constants(graph: Graph) -> dict[str, Operator]:
    """The constants that sums add to tensors, with who adds them."""
    found = {}
    for operator in graph.operators:
        if operator.kind == "Add" and len(graph.data(operator)) == 1:
            found.update({name: operator for name in operator.inputs if name in graph.constants})
    return found


def set_constants(model: Any, values: Mapping[str, NDArray[Any]]) -> None:
    """Give constants of an `onnx.ModelProto` other values, by name, in place."""
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))


def remove_constants(model: Any, names: Collection[str]) -> None:
    """Take constants out of an `onnx.ModelProto`, by name, in place."""
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in names]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _shapes(model: Any) -> dict[str, list[int]]:
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    entries = (*graph.value_info, *graph.input, *graph.output)
    return {entry.name: [size.dim_value for size in entry.type.tensor_type.shape.dim] for entry in entries}


def multiply_adds(graph: Graph, convolution: Operator) -> int:
    """Of a convolution, for one image."""
    return int(graph.weight(convolution).size * np.prod(graph.shapes[convolution.outputs[0]][2:]))
