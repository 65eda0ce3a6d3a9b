"""Where the quantizers stand for runtimes whose INT8 convolutions of INT8 data return INT8, as TFLite's do."""

from __future__ import annotations

from collections.abc import Collection

from edgehr.calib.quantizer.graph import Graph, Operator, is_depthwise
from edgehr.calib.quantizer.placement import Placement, Together, in_float, moving, positive_groups


def place_for_kernels(
    graph: Graph,
    *,
    ends: bool,
    points: bool,
    also: Collection[str] = (),
    full: Collection[str] = (),
    dynamic: bool = False,
) -> Placement:
    """Quantize what convolutions take and return; sums, products and resizing stay in float between them.

    Those with dynamic ranges need no quantizers: they take float and return it.

    Args:
        graph: The network.
        ends: Whether the first and the last convolution stay in float.
        points: See `edgehr.calib.quantizer.placement.place`.
        also: Names of further convolutions that stay in float, with weights of 8 bits.
        full: Names of further ones whose weights stay in float, too.
        dynamic: All but depthwise convolutions take dynamic ranges and return float, see
            `edgehr.calib.quantizer.dynamic`. No fast kernel does that for depthwise ones.
    """
    floating, full_weights = in_float(graph, ends=ends, points=points, also=also, full=full)
    together = Together(graph)
    in_int8 = [operator for operator in graph.convolutions if operator.name not in floating]
    at_runtime = {op.name for op in in_int8 if dynamic and not is_depthwise(graph.weight(op))}
    integer = {operator.name for operator in in_int8} - at_runtime
    for operator in graph.convolutions:
        if operator.name in integer:
            together.add(operator.inputs[0])
            relu = fused_relu(graph, operator)
            integer |= {relu.name} if relu else set()
            together.add((relu or operator).outputs[0])
    groups = together.numbered()
    integer |= moving(graph, groups)
    positive = positive_groups(graph, groups)
    return Placement(
        groups,
        positive,
        floating,
        full_weights,
        frozenset(integer),
        kernels=True,
        dynamic=frozenset(at_runtime),
    )


def fused_relu(graph: Graph, operator: Operator) -> Operator | None:
    """The ReLU that a runtime computes as part of an operator: what alone reads its result."""
    readers = graph.readers(operator.outputs[0])
    alone = len(readers) == 1 and readers[0].kind == "Relu" and operator.outputs[0] != graph.output
    return readers[0] if alone else None
