"""Which channels of a graph can be rescaled together without changing what the network computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph, Operator, identity_channels, is_gate
from edgehr.calib.quantizer.graph.operators import channel_slice

FIXED = 0  # the group of channels that cannot be rescaled
# Operators that commute with a positive factor for each channel.
_COMMUTING = ("Relu", "Add", "Resize", "AveragePool", "ReduceMean")


class ChannelGroups:
    """Groups of (tensor, channel): all of a group take the same factor.

    A convolution takes any factors in and out into its weights, unless it shares them. Every other operator that
    commutes with factors ties its inputs and outputs together; whatever does not commute, and the network's input and
    outputs, fixes them.

    Attributes:
        count: Number of (tensor, channel), and of factors.
        ids: (count,) the group of each, a number below `count`.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        names = [graph.input, *(name for operator in graph.operators for name in operator.outputs)]
        self._first: dict[str, int] = {}
        self.count = FIXED + 1
        for name in names:
            self._first[name] = self.count
            self.count += graph.channels(name)
        self._parents = np.arange(self.count)  # a union-find forest
        for operator in graph.operators:
            self._tie(operator)
            if operator.name in graph.shared:  # one filter takes no factors of several tensors
                self._fix(operator.inputs[0])
                self._fix(operator.outputs[0])
        self._fix(graph.input)
        for name in graph.outputs:
            self._fix(name)
        self.ids = np.array([self._root(index) for index in range(self.count)])

    def __getitem__(self, tensor: str) -> NDArray[np.int64]:
        """Return the groups of a tensor's channels, (C,)."""
        return self.ids[self._indices(tensor)]

    def _indices(self, tensor: str) -> NDArray[np.int64]:
        return self._first[tensor] + np.arange(self._graph.channels(tensor))

    def _root(self, index: int) -> int:
        while self._parents[index] != index:
            self._parents[index] = self._parents[self._parents[index]]
            index = int(self._parents[index])
        return index

    def _join(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            roots = sorted((self._root(one), self._root(other)))
            self._parents[roots[1]] = roots[0]  # so that FIXED stays a root

    def _fix(self, tensor: str) -> None:
        indices = self._indices(tensor)
        self._join(indices, np.full(len(indices), FIXED))

    def _tie(self, operator: Operator) -> None:
        """Join the groups of an operator's inputs and outputs that must take the same factors."""
        if operator.kind == CONVOLUTION:
            unchanged = identity_channels(self._graph.weight(operator))  # the filter stays the identity
            if unchanged.any():
                self._join(self._indices(operator.inputs[0])[unchanged], self._indices(operator.outputs[0])[unchanged])
            return
        data, result = self._graph.data(operator), self._indices(operator.outputs[0])
        if operator.kind in ("Concat", "Split") and operator.attributes.get("axis") == 1:
            whole, parts = (operator.outputs[0], data) if operator.kind == "Concat" else (data[0], operator.outputs)
            self._join(self._indices(whole), np.concatenate([self._indices(part) for part in parts]))
        elif operator.kind == "Slice":
            self._join(self._indices(data[0])[channel_slice(self._graph, operator)], result)
        elif operator.kind in _COMMUTING:  # a constant that is added takes the factor, too
            for name in data:
                self._join(self._indices(name), result)
        elif operator.kind == "Mul" and len(data) == 1:
            (constant,) = (self._graph.constants[name] for name in operator.inputs if name in self._graph.constants)
            nonzero = np.broadcast_to(constant, (1, len(result), 1, 1)).reshape(-1) != 0
            self._join(self._indices(data[0])[nonzero], result[nonzero])  # zero times any factor is zero
        elif operator.kind == "Mul" and sum(is_gate(self._graph, name) for name in data) == 1:
            (scaled,) = (name for name in data if not is_gate(self._graph, name))
            self._join(self._indices(scaled), result)
        else:
            for name in (*data, *operator.outputs):
                self._fix(name)
