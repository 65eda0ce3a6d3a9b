"""Where the quantizers of a graph stand: which tensors are rounded to 8 bits, and which of them share a quantizer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from edgehr.calib.quantizer.graph.onnx_graph import Graph, Operator, is_depthwise

# Operators that only move values: what they return was among what they took.
MOVING = ("Concat", "Slice")
INT8, UINT8 = (-128, 127), (0, 255)
_SIGN_KEEPING = ("Concat", "Slice", "Split", "AveragePool", "ReduceMean", "Resize", "Mul", "Add")


@dataclass(frozen=True)
class Placement:
    """The quantizers of a graph.

    Attributes:
        quantizers: Tensor -> number of the quantizer that it shares with others; tensors that are neither here nor in
            `split_quantizers` stay in float.
        unsigned: Quantizers of uint8; the others are of int8.
        float_data: Names of convolutions whose data stay in float.
        float_weights: Those of them whose weights stay in float, too; the others are quantized weight-only.
        integer: Names of the operators that read tensors as their quantizers leave them: convolutions in INT8, and what
            moves bytes. Any other reads the tensor as it was made, and rounds it itself if at all.
        returns_int8: INT8 convolutions round their results, so that all consumers read these rounded; and zero points
            are free. Otherwise they return float, and zero points are 0.
        split_quantizers: Tensor -> number of the quantizer that rounds it for the convolutions in `split`; a second
            one, of 1 / `SPLIT_RATIO` of its scale, rounds the rest.
        split: Names of convolutions with split activations: INT8 convolutions of what both quantizers make, added.
        dynamic: Names of convolutions with dynamic ranges: they round what they read to the range that it has just
            then, and return float.
    """

    quantizers: dict[str, int]
    unsigned: frozenset[int]
    float_data: frozenset[str]
    float_weights: frozenset[str]
    integer: frozenset[str] = frozenset()
    returns_int8: bool = False
    split_quantizers: dict[str, int] = field(default_factory=dict)
    split: frozenset[str] = frozenset()
    dynamic: frozenset[str] = frozenset()

    def bounds(self, quantizer: int) -> tuple[int, int]:
        """Return the least and the largest integer of a quantizer."""
        return UINT8 if quantizer in self.unsigned else INT8

    def int8_outputs(self, graph: Graph) -> set[str]:
        """Return the names of the tensors that operators on integers make."""
        return {name for operator in graph.operators if operator.name in self.integer for name in operator.outputs}

    def int8_multiply_adds(self, graph: Graph) -> int:
        """Count the multiply-adds in INT8 for one image, each convolution once."""
        return sum(graph.multiply_adds(each) for each in graph.convolutions if each.name not in self.float_data)


FLOAT = Placement({}, frozenset(), frozenset(), frozenset())


def place_for_qdq(
    graph: Graph,
    *,
    float_ends: bool,
    float_shared: bool = False,
    pooled_weight_only: bool,
    unsigned: bool,
    weight_only: Collection[str] = (),
    float_convolutions: Collection[str] = (),
    split: Collection[str] = (),
) -> Placement:
    """Quantize the inputs of convolutions, and nothing else: sums and products stay in float between them.

    An input that was only concatenated or sliced shares a quantizer with the tensors that it is made of, so that a
    runtime moves bytes.

    Args:
        graph: The network.
        float_ends: The first and the last convolution stay in float.
        float_shared: Convolutions that share their filter with others stay in float.
        pooled_weight_only: Convolutions on 1x1 maps (weights of channels, from means) are quantized weight-only: their
            filters are most of a small network's size.
        unsigned: Tensors that are never negative take uint8, which TensorRT lacks.
        weight_only: Names of further convolutions that are quantized weight-only.
        float_convolutions: Names of further ones that stay in float with their weights.
        split: Names of those with split activations; those in float are not among them. A tensor that was concatenated
            in bytes for others has lost what the second quantizer would find.
    """
    float_data, float_weights = _in_float(
        graph, float_ends, float_shared, pooled_weight_only, weight_only, float_convolutions
    )
    in_int8 = [operator for operator in graph.convolutions if operator.name not in float_data]
    plain = [operator for operator in in_int8 if operator.name not in split]
    splitting = [operator for operator in in_int8 if operator.name in split]
    quantizers = _shared_quantizers(graph, [operator.inputs[0] for operator in plain])
    split_inputs = dict.fromkeys(operator.inputs[0] for operator in splitting)
    return Placement(
        quantizers,
        _positive(graph, quantizers) if unsigned else frozenset(),
        float_data,
        float_weights,
        frozenset({operator.name for operator in plain} | _moving(graph, quantizers)),
        split_quantizers={name: number for number, name in enumerate(split_inputs, len(set(quantizers.values())))},
        split=frozenset(operator.name for operator in splitting),
    )


def place_for_kernels(
    graph: Graph,
    *,
    float_ends: bool,
    float_shared: bool = False,
    pooled_weight_only: bool,
    weight_only: Collection[str] = (),
    float_convolutions: Collection[str] = (),
    dynamic: bool = False,
) -> Placement:
    """Quantize inputs and results of convolutions, for runtimes whose INT8 kernels return INT8, as TFLite's do.

    Sums, products and resizing stay in float between them. Convolutions with dynamic ranges need no quantizers.

    Args:
        graph: The network.
        float_ends: See `place_for_qdq`.
        float_shared: See `place_for_qdq`.
        pooled_weight_only: See `place_for_qdq`.
        weight_only: See `place_for_qdq`.
        float_convolutions: See `place_for_qdq`.
        dynamic: All but depthwise convolutions take dynamic ranges and return float. No fast kernel does that for
            depthwise ones.
    """
    float_data, float_weights = _in_float(
        graph, float_ends, float_shared, pooled_weight_only, weight_only, float_convolutions
    )
    in_int8 = [operator for operator in graph.convolutions if operator.name not in float_data]
    at_runtime = {op.name for op in in_int8 if dynamic and not is_depthwise(graph.weight(op))}
    integer, tensors = set(), []
    for operator in in_int8:
        if operator.name not in at_runtime:
            relu = fused_relu(graph, operator)
            integer |= {operator.name, relu.name} if relu else {operator.name}
            tensors += [operator.inputs[0], (relu or operator).outputs[0]]
    quantizers = _shared_quantizers(graph, tensors)
    return Placement(
        quantizers,
        _positive(graph, quantizers),
        float_data,
        float_weights,
        frozenset(integer | _moving(graph, quantizers)),
        returns_int8=True,
        dynamic=frozenset(at_runtime),
    )


def fused_relu(graph: Graph, operator: Operator) -> Operator | None:
    """Return the ReLU that a runtime computes as part of an operator: the only consumer of its result."""
    consumers = graph.consumers(operator.outputs[0])
    only = len(consumers) == 1 and consumers[0].kind == "Relu" and operator.outputs[0] not in graph.outputs
    return consumers[0] if only else None


def is_positive(graph: Graph, tensor: str) -> bool:
    """Tell whether a tensor holds no negative value, whatever the image."""
    operator = graph.producer.get(tensor)
    if operator is None:
        return False
    if operator.kind in ("Relu", "Sigmoid"):
        return True
    if operator.kind not in _SIGN_KEEPING:
        return False
    data = graph.data(operator)
    has_constants = operator.kind in ("Mul", "Add") and len(data) < 2
    return not has_constants and all(is_positive(graph, name) for name in data)


def _in_float(
    graph: Graph,
    float_ends: bool,
    float_shared: bool,
    pooled_weight_only: bool,
    weight_only: Collection[str],
    float_convolutions: Collection[str],
) -> tuple[frozenset[str], frozenset[str]]:
    """Name the convolutions whose data stay in float, and those of them whose weights do."""
    # The filter of a head that looks at all levels of a pyramid cannot suit what is rounded in each of them.
    float_convolutions = {*float_convolutions, *(graph.shared if float_shared else ())}
    ends = {op.name for op in graph.convolutions if graph.input in op.inputs or set(graph.outputs) & set(op.outputs)}
    pooled = {op.name for op in graph.convolutions if graph.shapes[op.outputs[0]][2:] == [1, 1] and pooled_weight_only}
    float_weights = (ends if float_ends else set()) | set(float_convolutions) - pooled
    return frozenset(float_weights | pooled | set(weight_only)), frozenset(float_weights)


def _moving(graph: Graph, quantizers: dict[str, int]) -> set[str]:
    """Name the operators that concatenate or slice quantized tensors, in bytes."""
    moving = (operator for operator in graph.operators if operator.kind in MOVING)
    return {op.name for op in moving if all(name in quantizers for name in (*graph.data(op), *op.outputs))}


def _positive(graph: Graph, quantizers: dict[str, int]) -> frozenset[int]:
    """Return the quantizers of tensors none of which holds a negative value."""
    negative = {quantizer for tensor, quantizer in quantizers.items() if not is_positive(graph, tensor)}
    return frozenset(quantizers.values()) - negative


def _shared_quantizers(graph: Graph, tensors: Collection[str]) -> dict[str, int]:
    """Number the quantizers of tensors: they share one with the tensors that they were concatenated or sliced from."""
    parents: dict[str, str] = {}  # a union-find forest

    def root(tensor: str) -> str:
        while parents[tensor] != tensor:
            tensor = parents[tensor]
        return tensor

    def add(tensor: str) -> None:
        parents.setdefault(tensor, tensor)
        operator = graph.producer.get(tensor)
        if operator is not None and operator.kind in MOVING:
            for source in graph.data(operator):
                add(source)
                parents[root(source)] = root(tensor)

    for tensor in tensors:
        add(tensor)
    numbers: dict[str, int] = {}
    return {tensor: numbers.setdefault(root(tensor), len(numbers)) for tensor in parents}
