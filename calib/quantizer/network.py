"""A graph run in PyTorch, with values rounded where its INT8 form rounds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.dynamic import round_to_range, shared_range
from edgehr.calib.quantizer.graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantizer.operators import check_operators, compute, convolve
from edgehr.calib.quantizer.placement import FINER, MOVING, SIGNED, Placement

# Called with the name of each tensor and its value before it is quantized.
Watch = Callable[[str, Tensor], None]
LARGEST_WEIGHT = 127  # of 8 bits: -128 is left out, so that the range is symmetric
BATCH = 8


@dataclass
class Layer:
    """A convolution's numbers.

    Attributes:
        weight: (out, in of one group, height, width); whole multiples of `step` where there is one.
        bias: (out,).
        step: (out,) size of a quantization step of each row of the weights; None for weights in float.
    """

    weight: Tensor
    bias: Tensor
    step: Tensor | None = None

    @property
    def integers(self) -> NDArray[np.int8]:
        """The weights in steps, of the same shape."""
        if self.step is None:
            raise ValueError("a layer in float has no integers")
        steps = (self.weight / self.step.reshape(-1, 1, 1, 1)).round()
        integers: NDArray[np.int8] = steps.clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT).to(torch.int8).numpy()
        return integers


@dataclass
class Network:
    """A graph with numbers of its own.

    Attributes:
        graph: What it computes.
        placement: Which tensors are quantized, and together with which.
        layers: By the name of the convolution; those of the graph at first.
        steps: Size of a quantization step of each group of tensors that has one, and of the first of the two of those
            that have two; without any, and without dynamic ranges, it is a float network.
        zeros: The step that stands for zero, by group; 0 for one that is not here.

    Raises:
        EdgehrError: The graph has an operator that is not known here.
    """

    graph: Graph
    placement: Placement
    layers: dict[str, Layer] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)
    zeros: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_operators(self.graph)
        for operator in self.graph.convolutions:
            if operator.name not in self.layers:
                weight, bias = self.graph.weight(operator), self.graph.bias(operator)
                self.layers[operator.name] = Layer(torch.tensor(weight), torch.tensor(bias))

    def quantize(self, name: str, value: Tensor) -> Tensor:
        """A tensor as its quantizer leaves it; unchanged where it has none."""
        group = self.placement.groups.get(name, -1)
        step = self.steps.get(group)
        if step is None:
            return value
        return torch.fake_quantize_per_tensor_affine(
            value, step, self.zeros.get(group, 0), *self.placement.bounds(name)
        )

    def quantize_twice(self, name: str, value: Tensor) -> Tensor:
        """A tensor as a convolution takes it that filters what the first quantizer leaves, too."""
        step = self.steps.get(self.placement.twice[name])
        if step is None:
            return value
        first = torch.fake_quantize_per_tensor_affine(value, step, 0, *SIGNED)
        return first + torch.fake_quantize_per_tensor_affine(value - first, step / FINER, 0, *SIGNED)

    def take(self, operator: Operator, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that an operator takes, as it takes them."""
        taken = {name: values[name] for name in operator.inputs if name in values}
        if operator.name in self.placement.doubled:
            return {name: self.quantize_twice(name, value) for name, value in taken.items()}
        if operator.name in self.placement.dynamic:
            shared = shared_range(self.graph, operator)
            return {name: round_to_range(value, shared) for name, value in taken.items()}
        if operator.name not in self.placement.integer:
            return taken
        return {name: self.quantize(name, value) for name, value in taken.items()}

    def give(self, operator: Operator, name: str, value: Tensor) -> Tensor:
        """A tensor as the operator that made it gives it to others."""
        moved = operator.kind in MOVING or self.placement.kernels
        return self.quantize(name, value) if moved and operator.name in self.placement.integer else value

    def convolve(self, operator: Operator, data: Tensor) -> Tensor:
        """Run one of its convolutions."""
        layer = self.layers[operator.name]
        return convolve(operator, data, layer.weight, layer.bias)

    def run_one(self, operator: Operator, values: dict[str, Tensor]) -> list[Tensor]:
        """Run one operator on tensors by name; what it makes is not rounded yet."""
        taken = self.take(operator, values)
        if operator.kind == CONVOLUTION:
            return [self.convolve(operator, taken[operator.inputs[0]])]
        return list(compute(self.graph, operator, taken))

    @torch.no_grad()
    def run(self, crops: NDArray[np.float32], watch: Watch | None = None) -> NDArray[np.float32]:
        """Run it on crops (N, 3, H, W), a few at a time, whatever the graph's own batch is.

        Args:
            crops: Inputs.
            watch: Sees every tensor of every few crops.

        Returns:
            (N, K, h, w).
        """
        parts = [self.forward(torch.from_numpy(crops[start : start + BATCH]), watch) for start in _starts(crops)]
        output: NDArray[np.float32] = torch.cat(parts).numpy()
        return output

    def forward(self, crops: Tensor, watch: Watch | None = None) -> Tensor:
        """Run it on a few crops, with gradients where they are wanted."""
        values: dict[str, Tensor] = {}

        if watch:
            watch(self.graph.input, crops)
        values[self.graph.input] = crops
        for place, operator in enumerate(self.graph.operators):
            for name, value in zip(operator.outputs, self.run_one(operator, values), strict=True):
                if watch:
                    watch(name, value)
                values[name] = self.give(operator, name, value)
            forget(self.graph, place, values)
        return values[self.graph.output]


def forget(graph: Graph, place: int, values: dict[str, Tensor]) -> None:
    """Drop what no operator after this one reads."""
    for name in graph.operators[place].inputs:
        if graph.last_use[name] == place:
            values.pop(name, None)


def _starts(crops: NDArray[np.float32]) -> range:
    return range(0, len(crops), BATCH)
