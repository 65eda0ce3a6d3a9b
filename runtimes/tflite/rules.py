"""How the operator lists of delegates are written down, and how a graph is held against one.

A list is a table from an operator's name to conditions. A condition looks at one operator and gives the reason why the
delegate leaves it to the CPU, or an empty text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from edgehr.runtimes.tflite.graph import Operator, Tensor

Condition = Callable[[Operator], str]


@dataclass(frozen=True)
class OperatorList:
    """What a delegate takes.

    Attributes:
        source: Where the list is published.
        always: Conditions on every operator.
        operators: Further conditions by operator; one that is not here is not taken.
        max_partitions: How many separate parts of a graph the delegate takes as it is set up by default, those of most
            operators; 0 for any.
        left_out: The reason given for operators of all other parts.
        notes: What the list leaves open, for whoever reads the report.
    """

    source: str
    always: tuple[Condition, ...]
    operators: Mapping[str, tuple[Condition, ...]]
    max_partitions: int = 0
    left_out: str = ""
    notes: tuple[str, ...] = ()

    def refusal(self, operator: Operator) -> str:
        """Say why an operator is not taken, by itself; empty where it is."""
        conditions = self.operators.get(operator.name)
        if conditions is None:
            return "it is not on the list"
        if not operator.inputs or not operator.outputs:
            return "it lacks inputs or outputs"
        return next((reason for condition in (*self.always, *conditions) if (reason := condition(operator))), "")


def table(*rows: tuple[str, tuple[Condition, ...]]) -> dict[str, tuple[Condition, ...]]:
    """List conditions by operator, from rows of operators (names between spaces) with the same conditions."""
    return {name: conditions for names, conditions in rows for name in names.split()}


def present(operator: Operator) -> Iterator[Tensor]:
    """Yield inputs that are not left out, and outputs."""
    yield from (tensor for tensor in operator.inputs if tensor is not None)
    yield from operator.outputs


def at(operator: Operator, position: int) -> Tensor | None:
    """Return an input, or None where there is none."""
    return operator.inputs[position] if position < len(operator.inputs) else None


def plain(tensor: Tensor) -> str:
    """Write a tensor's shape for a reason."""
    return "x".join(str(size) for size in tensor.shape) or "a scalar"


def version(maximum: int) -> Condition:
    """Require that the operator's version is at most this."""
    return lambda operator: (
        f"its version is {operator.version}: at most {maximum}" if operator.version > maximum else ""
    )


def data_types(*allowed: str) -> Condition:
    """Require that all inputs that are not static, and all outputs, are of these types."""

    def check(operator: Operator) -> str:
        for tensor in present(operator):
            if not tensor.static and tensor.dtype not in allowed:
                return f"it has {tensor.dtype} data: {' or '.join(allowed)} only"
        return ""

    return check


def input_type(position: int, *allowed: str) -> Condition:
    """Require that one input is of these types."""

    def check(operator: Operator) -> str:
        tensor = at(operator, position)
        wrong = tensor is not None and tensor.dtype not in allowed
        return f"its input {position} is {tensor.dtype}: {' or '.join(allowed)} only" if tensor and wrong else ""

    return check


def output_type(*allowed: str) -> Condition:
    """Require that all outputs are of these types."""

    def check(operator: Operator) -> str:
        wrong = [tensor.dtype for tensor in operator.outputs if tensor.dtype not in allowed]
        return f"its output is {wrong[0]}: {' or '.join(allowed)} only" if wrong else ""

    return check


def max_rank(maximum: int, *positions: int) -> Condition:
    """Require that these inputs, or else all inputs and outputs, have at most so many dimensions."""

    def check(operator: Operator) -> str:
        chosen = [at(operator, position) for position in positions] if positions else present(operator)
        highest = max((len(tensor.shape) for tensor in chosen if tensor is not None), default=0)
        return f"it has {highest} dimensions: at most {maximum}" if highest > maximum else ""

    return check


def input_rank(position: int, *allowed: int) -> Condition:
    """Require that one input has one of these numbers of dimensions."""

    def check(operator: Operator) -> str:
        tensor = at(operator, position)
        wrong = tensor is not None and len(tensor.shape) not in allowed
        wanted = " or ".join(str(rank) for rank in allowed)
        return f"its input {position} has {len(tensor.shape)} dimensions: {wanted} only" if tensor and wrong else ""

    return check


def static(position: int, what: str) -> Condition:
    """Require that one input, where there is one, is known before the first inference."""

    def check(operator: Operator) -> str:
        tensor = at(operator, position)
        return f"its {what} must be constant" if tensor is not None and not tensor.static else ""

    return check


def given(position: int, what: str) -> Condition:
    """Require that one input is not left out."""
    return lambda operator: f"it has no {what}" if at(operator, position) is None else ""


def inputs(minimum: int, maximum: int) -> Condition:
    """Require that the number of inputs, without those left out, is within these."""
    return lambda operator: _count(sum(tensor is not None for tensor in operator.inputs), minimum, maximum, "input")


def computed_inputs(minimum: int, maximum: int) -> Condition:
    """Require that the number of inputs that are not static is within these."""
    return lambda operator: _count(
        sum(tensor is not None and not tensor.static for tensor in operator.inputs), minimum, maximum, "computed input"
    )


def outputs(minimum: int, maximum: int) -> Condition:
    """Require that the number of outputs is within these."""
    return lambda operator: _count(len(operator.outputs), minimum, maximum, "output")


def activation(*allowed: str) -> Condition:
    """Require that the fused activation is none or one of these."""
    return option("fused_activation", "NONE", *allowed)


def option(name: str, *allowed: object) -> Condition:
    """Require that an option has one of these values; an absent one has the first."""

    def check(operator: Operator) -> str:
        value = operator.options.get(name, allowed[0])
        return "" if value in allowed else f"its {name} is {value}: {' or '.join(map(str, allowed))} only"

    return check


def block_size(operator: Operator) -> str:
    """Require that the block of a DEPTH_TO_SPACE or SPACE_TO_DEPTH is above 1."""
    return "" if _integer(operator, "block_size") > 1 else "its block_size is not above 1"


def axes(operator: Operator, position: int = 1) -> tuple[int, ...] | None:
    """Return the axes of a reduction, counted from the front; None where they are not constant."""
    values, data = at(operator, position), at(operator, 0)
    if values is None or values.values is None or data is None:
        return None
    return tuple(axis % max(len(data.shape), 1) for axis in values.values)


def same_quantization(operator: Operator) -> str:
    """Require that the first input and output share scale and zero point, where both are of 8 bits."""
    first, made = operator.inputs[0], operator.outputs[0]
    if first is None or first.dtype not in ("int8", "uint8") or first.dtype != made.dtype:
        return ""
    differs = (first.scale, first.zero_point) != (made.scale, made.zero_point)
    return "its output is quantized differently from its input" if differs else ""


def _integer(operator: Operator, name: str) -> int:
    value = operator.options.get(name)
    return value if isinstance(value, int) else 0


def _count(number: int, minimum: int, maximum: int, what: str) -> str:
    wanted = str(minimum) if minimum == maximum else f"{minimum} to {maximum}"
    return "" if minimum <= number <= maximum else f"it has {number} {what}s: {wanted} only"
