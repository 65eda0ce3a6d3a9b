"""Where the quantizers of a graph stand: which tensors are rounded to 8 bits, and which of them alike."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from edgehr.calib.quantizer.graph import Graph, multiply_adds

# What they return was among what they took.
MOVING = ("Concat", "Slice")
SIGNED = (-128, 127)
FINER = 254  # steps of a second quantizer in one of the first: what rounding leaves, up to half a step, takes 127
_KEEP_SIGN = ("Concat", "Slice", "Split", "AveragePool", "ReduceMean", "Resize", "Mul", "Add")


@dataclass(frozen=True)
class Placement:
    """The quantizers.

    Attributes:
        groups: Tensor -> number of the quantizer that it shares with others; tensors that are neither here nor in
            `twice` stay in float.
        unsigned: Quantizers from 0 to 255, the others from -128 to 127. Zero is 0 for all of them.
        in_float: Names of convolutions whose data stay in float.
        full_weights: Those of them whose weights do, too.
        integer: Names of the operators that take tensors as one quantizer leaves them: convolutions in INT8, and what
            moves bytes. Any other reads what was made, and rounds it itself if at all.
        kernels: Those convolutions return INT8, so that all who read what they make read it rounded.
        twice: Tensor -> number of the quantizer that rounds it for convolutions in `doubled`; a second one, a `FINER`th
            of its step, rounds what it leaves.
        doubled: Names of the convolutions in INT8 that filter both, and add.
        dynamic: Names of those in INT8 that round what they read to the range that it has just then, and return float.
    """

    groups: dict[str, int]
    unsigned: frozenset[int]
    in_float: frozenset[str]
    full_weights: frozenset[str]
    integer: frozenset[str] = frozenset()
    kernels: bool = False
    twice: dict[str, int] = field(default_factory=dict)
    doubled: frozenset[str] = frozenset()
    dynamic: frozenset[str] = frozenset()

    def bounds(self, tensor: str) -> tuple[int, int]:
        """Least and largest step of a tensor's quantizer."""
        return self.bounds_of(self.groups[tensor])

    def bounds_of(self, group: int) -> tuple[int, int]:
        """Least and largest step of a quantizer."""
        return (0, 255) if group in self.unsigned else SIGNED


NOWHERE = Placement({}, frozenset(), frozenset(), frozenset())


def place(
    graph: Graph,
    *,
    ends: bool,
    points: bool,
    unsigned: bool,
    also: Collection[str] = (),
    full: Collection[str] = (),
    doubled: Collection[str] = (),
) -> Placement:
    """Quantize what convolutions take, and nothing else: sums and products stay in float between them.

    A convolution's input that was only put together from other tensors, or cut out of one, shares a quantizer with
    them, so that a runtime moves bytes.

    Args:
        graph: The network.
        ends: The first and the last convolution stay in float.
        points: Convolutions that make 1x1 maps (weights of channels, from means) stay in float; their filters, most of
            a small network's size, are stored in 8 bits all the same.
        unsigned: Tensors that are never negative get all 256 steps, which TensorRT lacks.
        also: Names of further convolutions that stay in float, with weights of 8 bits.
        full: Names of further ones whose weights stay in float, too.
        doubled: Names of those that take what they read in two steps; those in float are not among them. What was put
            together in bytes for others has lost what a second step would find.
    """
    floating, full_weights = in_float(graph, ends=ends, points=points, also=also, full=full)
    in_int8 = [operator for operator in graph.convolutions if operator.name not in floating]
    once = [operator for operator in in_int8 if operator.name not in doubled]
    in_two_steps = [operator for operator in in_int8 if operator.name in doubled]
    together = Together(graph)
    for operator in once:
        together.add(operator.inputs[0])
    groups = together.numbered()
    positive = positive_groups(graph, groups) if unsigned else frozenset()
    integer = frozenset({operator.name for operator in once} | moving(graph, groups))
    taken = dict.fromkeys(operator.inputs[0] for operator in in_two_steps)
    return Placement(
        groups,
        positive,
        floating,
        full_weights,
        integer,
        twice={tensor: number for number, tensor in enumerate(taken, len(set(groups.values())))},
        doubled=frozenset(operator.name for operator in in_two_steps),
    )


def in_float(
    graph: Graph, *, ends: bool, points: bool, also: Collection[str], full: Collection[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the convolutions whose data stay in float, and of those of them whose weights do.

    Args:
        graph: The network.
        ends: Whether the first and the last convolution are among them.
        points: Whether those that make 1x1 maps are; their weights never stay in float.
        also: More of them, by name.
        full: More whose weights stay in float, too.
    """
    outer = {op.name for op in graph.convolutions if graph.input in op.inputs or graph.output in op.outputs}
    at_points = {op.name for op in graph.convolutions if points and graph.shapes[op.outputs[0]][2:] == [1, 1]}
    full_weights = (outer if ends else set()) | set(full) - at_points
    return frozenset(full_weights | at_points | set(also)), frozenset(full_weights)


def multiply_adds_in_int8(graph: Graph, placement: Placement) -> int:
    """Of one image, each convolution counted once."""
    return sum(multiply_adds(graph, each) for each in graph.convolutions if each.name not in placement.in_float)


def moving(graph: Graph, groups: dict[str, int]) -> set[str]:
    """Names of the operators that put together or cut out what is quantized, in bytes."""
    moved = (operator for operator in graph.operators if operator.kind in MOVING)
    return {op.name for op in moved if all(name in groups for name in (*graph.data(op), *op.outputs))}


def positive_groups(graph: Graph, groups: dict[str, int]) -> frozenset[int]:
    """The quantizers of tensors none of which holds a negative value."""
    negative = {group for tensor, group in groups.items() if not is_positive(graph, tensor)}
    return frozenset(groups.values()) - negative


def is_positive(graph: Graph, tensor: str) -> bool:
    """Whether a tensor holds no negative value, whatever the image."""
    operator = graph.maker.get(tensor)
    if operator is None:
        return False
    if operator.kind in ("Relu", "Sigmoid"):
        return True
    if operator.kind not in _KEEP_SIGN:
        return False
    data = graph.data(operator)
    constants = operator.kind in ("Mul", "Add") and len(data) < 2
    return not constants and all(is_positive(graph, name) for name in data)


class Together:
    """Tensors that share quantizers, as a forest: each tensor points towards the root of its group."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._above: dict[str, str] = {}

    def add(self, tensor: str) -> None:
        """Quantize a tensor, and what it was moved from."""
        self._above.setdefault(tensor, tensor)
        operator = self._graph.maker.get(tensor)
        if operator is None or operator.kind not in MOVING:
            return
        for source in self._graph.data(operator):
            self.add(source)
            self._above[self._root(source)] = self._root(tensor)

    def _root(self, tensor: str) -> str:
        while self._above[tensor] != tensor:
            tensor = self._above[tensor]
        return tensor

    def numbered(self) -> dict[str, int]:
        """Tensor -> number of its group."""
        numbers: dict[str, int] = {}
        return {tensor: numbers.setdefault(self._root(tensor), len(numbers)) for tensor in self._above}
