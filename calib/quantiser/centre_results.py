"""What INT8 kernels return, moved so that it reaches as far below zero as above it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgehr.calib.quantiser.centre import Middles, set_biases
from edgehr.calib.quantiser.graph import Graph, Operator


def results_moved(graph: Graph, middles: Middles) -> Graph:
    """The same function, in which some convolutions return less by a constant, and something behind them adds it.

    The constants travel through what they commute with, resizing and sums, and those of a sum are added as one.

    Args:
        graph: The network.
        middles: (C,) by the tensor that a convolution makes.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    makers = {name: graph.maker[name] for name in middles}
    set_biases(model, {op.name: graph.bias(op).astype(np.float64) - middles[name] for name, op in makers.items()})
    due = _due(graph, middles)
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in due:
                node.name = str(node.name or name)
                node.output[place] = f"{name}.lacking"
                nodes.append(_add(model, name, due[name]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return Graph(model)


def _due(graph: Graph, middles: Middles) -> dict[str, NDArray[np.float64]]:
    """(C,) what is to be added, by the tensor to which it is."""
    lacking, due = dict(middles), {}
    for operator in graph.operators:
        found = {name: lacking.pop(name) for name in graph.data(operator) if name in lacking}
        if found and all(_carries(graph, operator, name) for name in found):
            lacking[operator.outputs[0]] = np.sum(list(found.values()), axis=0)
        else:
            due.update(found)
    return due | lacking


def _carries(graph: Graph, operator: Operator, name: str) -> bool:
    """Whether a constant can as well be added to an operator's result as to a tensor that it takes."""
    alone = len(graph.readers(name)) == 1
    return alone and (operator.kind == "Resize" or (operator.kind == "Add" and len(set(graph.data(operator))) == 2))


def _add(model: Any, name: str, value: NDArray[np.float64]) -> Any:
    constant = numpy_helper.from_array(value.astype(np.float32).reshape(1, -1, 1, 1), f"{name}.lack")
    model.graph.initializer.append(constant)
    return helper.make_node("Add", [f"{name}.lacking", constant.name], [name], f"{name}.restore")
