"""INT8 coverage: which operators of a model compute in 8 bits, and which stay in float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Node:
    """An operator that computes or moves real values; those that only quantize, and shapes, are not counted.

    Attributes:
        name: Of the operator; in TFLite, where operators have none, of its first output.
        operator: Its type.
        macs: Multiply-adds of one inference: of convolutions and matrix products, 0 of everything else.
        int8: Whether the file has it compute in INT8: all that it takes as activations and weights is quantized to 8
            bits, with nothing but moving and clipping of values between, or its kernel rounds float activations to
            8 bits as they come.
    """

    name: str
    operator: str
    macs: int
    int8: bool


@dataclass(frozen=True)
class FloatGroup:
    """Operators of one type that stay in float: how many, and their multiply-adds."""

    operator: str
    count: int
    macs: int


@dataclass(frozen=True)
class Coverage:
    """What a file says of its precision, operator by operator.

    Attributes:
        nodes: In the order in which they run, one for each operator with real values: two for a convolution that reads
            in two steps.
        executed: Share of the multiply-adds that the CPU here really computes in INT8, 0 to 1; None where the runtime
            does not tell.
    """

    nodes: tuple[Node, ...]
    executed: float | None = None

    @property
    def macs(self) -> int:
        """Multiply-adds of one inference."""
        return sum(node.macs for node in self.nodes)

    @property
    def int8_share(self) -> float:
        """Share of them in INT8, 0 to 1; NaN for a network without any."""
        macs = self.macs
        return sum(node.macs for node in self.nodes if node.int8) / macs if macs else float("nan")

    @property
    def layers(self) -> list[Node]:
        """Return the operators that multiply and add."""
        return [node for node in self.nodes if node.macs]

    @property
    def in_float(self) -> list[FloatGroup]:
        """Return what stays in float by type of operator, the most multiply-adds first, then the most operators."""
        groups: dict[str, list[int]] = {}
        for node in self.nodes:
            if not node.int8:
                groups.setdefault(node.operator, []).append(node.macs)
        found = [FloatGroup(name, len(macs), sum(macs)) for name, macs in groups.items()]
        return sorted(found, key=lambda group: (-group.macs, -group.count, group.operator))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        share = self.int8_share
        return {
            "macs": self.macs,
            "int8_share": None if share != share else share,
            "int8_share_executed": self.executed,
            "in_float": [vars(group) for group in self.in_float],
        }
