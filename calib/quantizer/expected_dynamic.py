"""What dynamic ranges add to the error that is expected, see `edgehr.calib.quantizer.expected`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgehr.calib.quantizer.dynamic import LEVELS
from edgehr.calib.quantizer.graph import Graph, Operator
from edgehr.calib.quantizer.noise import Signals
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.smooth import smooth_maximum


@dataclass(frozen=True)
class DynamicStack:
    """Convolutions with dynamic ranges: L of them, of C channels, with R ranges each.

    Attributes:
        names: Of the convolutions.
        places: (L, C) classes of what they take.
        high: (L, R, C), as of `edgehr.calib.quantizer.range_samples.Ranges`.
        low: (L, R, C).
        gains: (L, R, C).
    """

    names: list[str]
    places: Tensor
    high: Tensor
    low: Tensor
    gains: Tensor

    def errors(self, factors: Tensor) -> Tensor:
        """(L,) made by rounding what they take."""
        taken = factors[self.places][:, None]
        steps = (smooth_maximum(self.high / taken) + smooth_maximum(self.low / taken)) / LEVELS
        return (steps.square() * (taken.square() * self.gains).sum(-1)).sum(-1)


def dynamic_stacks(
    graph: Graph, placement: Placement, signals: Signals, places: Mapping[str, Tensor]
) -> list[DynamicStack]:
    """The convolutions with dynamic ranges, by the shape of what is known of them."""
    alike: dict[tuple[int, ...], list[Operator]] = {}
    for operator in graph.convolutions:
        if operator.name in placement.dynamic and operator.name in signals.ranges:  # without: it reaches no heatmap
            alike.setdefault(tuple(signals.ranges[operator.name].high.shape), []).append(operator)
    found = []
    for operators in alike.values():
        ranges = [signals.ranges[operator.name] for operator in operators]
        found.append(
            DynamicStack(
                [operator.name for operator in operators],
                torch.stack([places[operator.inputs[0]] for operator in operators]),
                torch.stack([each.high for each in ranges]),
                torch.stack([each.low for each in ranges]),
                torch.stack([each.gains for each in ranges]),
            )
        )
    return found
