"""Which channels of a graph can be rescaled together without changing what the network computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, Operator, is_gate, passing_channels
from edgehr.calib.quantizer.operators import channel_slice

FIXED = 0  # the class of channels that cannot be rescaled
# What commutes with a positive factor for each channel.
_COMMUTING = ("Relu", "Add", "Resize", "AveragePool", "ReduceMean")


class ChannelClasses:
    """Classes of (tensor, channel): all of a class take the same factor.

    A convolution takes any factors in and out into its weights. Every other operator that commutes with factors ties
    its ends together; whatever does not commute, and the network's input and output, fixes them.

    Attributes:
        count: Of (tensor, channel), and of factors.
        of: (count,) the class of each, a number below `count`.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        names = [graph.input, *(name for operator in graph.operators for name in operator.outputs)]
        self._first: dict[str, int] = {}
        self.count = FIXED + 1
        for name in names:
            self._first[name] = self.count
            self.count += graph.channels(name)
        self._above = np.arange(self.count)
        for operator in graph.operators:
            self._tie(operator)
        self._fix(graph.input)
        self._fix(graph.output)
        self.of = np.array([self._root(place) for place in range(self.count)])

    def __getitem__(self, tensor: str) -> NDArray[np.int64]:
        """(C,) the classes of a tensor's channels."""
        return self.of[self._places(tensor)]

    def _places(self, tensor: str) -> NDArray[np.int64]:
        return self._first[tensor] + np.arange(self._graph.channels(tensor))

    def _root(self, place: int) -> int:
        while self._above[place] != place:
            self._above[place] = self._above[self._above[place]]
            place = int(self._above[place])
        return place

    def _join(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            roots = sorted((self._root(one), self._root(other)))
            self._above[roots[1]] = roots[0]  # so that FIXED stays a root

    def _fix(self, tensor: str) -> None:
        places = self._places(tensor)
        self._join(places, np.full(len(places), FIXED))

    def _tie(self, operator: Operator) -> None:
        if operator.kind == CONVOLUTION:
            passing = passing_channels(self._graph.weight(operator))  # stays the identity
            if passing.any():
                self._join(self._places(operator.inputs[0])[passing], self._places(operator.outputs[0])[passing])
            return
        data = self._graph.data(operator)
        ends = [*data, *operator.outputs]
        if operator.kind in ("Concat", "Split") and operator.attributes.get("axis") == 1:
            whole, parts = (operator.outputs[0], data) if operator.kind == "Concat" else (data[0], operator.outputs)
            self._join(self._places(whole), np.concatenate([self._places(part) for part in parts]))
        elif operator.kind == "Slice":
            taken = self._places(data[0])[channel_slice(self._graph, operator)]
            self._join(taken, self._places(operator.outputs[0]))
        elif operator.kind in _COMMUTING:  # a constant that is added takes the factor, too
            for name in data:
                self._join(self._places(name), self._places(operator.outputs[0]))
        elif operator.kind == "Mul" and len(data) == 1:
            kept = self._kept(operator)  # zero times any factor is zero
            self._join(self._places(data[0])[kept], self._places(operator.outputs[0])[kept])
        elif operator.kind == "Mul" and sum(is_gate(self._graph, name) for name in data) == 1:
            (scaled,) = (name for name in data if not is_gate(self._graph, name))
            self._join(self._places(scaled), self._places(operator.outputs[0]))
        else:
            for name in ends:
                self._fix(name)

    def _kept(self, product: Operator) -> NDArray[np.bool_]:
        """(C,) which channels a constant does not multiply by zero."""
        (constant,) = (self._graph.constants[name] for name in product.inputs if name in self._graph.constants)
        sizes = (1, self._graph.channels(product.outputs[0]), 1, 1)
        kept: NDArray[np.bool_] = np.broadcast_to(constant, sizes).reshape(-1) != 0
        return kept
