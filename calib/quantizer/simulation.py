"""A graph run in PyTorch, with values rounded where its INT8 form rounds them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantizer.graph.operators import check_operators, compute, compute_tail, convolve
from edgehr.calib.quantizer.parallel import side_by_side
from edgehr.calib.quantizer.placement import FLOAT, INT8, MOVING, Placement

# Called with the name of each tensor and its value before it is quantized.
Watch = Callable[[str, Tensor], None]
T = TypeVar("T")
MAX_WEIGHT = 127  # of 8 bits: -128 is left out, so that the range is symmetric
BATCH = 8
# Scale of a first quantizer over that of a second one: the rest, up to half a scale, takes 127 integers.
SPLIT_RATIO = 254
LEVELS = INT8[1] - INT8[0]
PER_PIXEL, PER_IMAGE = (1,), (1, 2, 3)  # dimensions of (N, C, H, W) that share a dynamic range
MIN_SCALE = 1e-30  # of a dynamic range


@dataclass(frozen=True)
class QuantizationParameters:
    """How integers stand for real numbers: real = scale * (integer - zero_point).

    Attributes:
        scale: Difference of neighboring real numbers.
        zero_point: The integer that stands for zero.
    """

    scale: float
    zero_point: int = 0


@dataclass
class Layer:
    """Weights and bias of a convolution.

    Attributes:
        weight: (out, in of one group, height, width); whole multiples of `scale` where there is one.
        bias: (out,).
        scale: (out,) scale of each output channel's weights; None for weights in float.
    """

    weight: Tensor
    bias: Tensor
    scale: Tensor | None = None

    @property
    def integers(self) -> NDArray[np.int8]:
        """Return the weights as integers, of the same shape."""
        if self.scale is None:
            raise ValueError("a layer in float has no integers")
        multiples = (self.weight / self.scale.reshape(-1, 1, 1, 1)).round()
        integers: NDArray[np.int8] = multiples.clamp(-MAX_WEIGHT, MAX_WEIGHT).to(torch.int8).numpy()
        return integers


@dataclass
class SimulatedNetwork:
    """A graph with layers and quantization parameters of its own.

    Attributes:
        graph: The operators.
        placement: Which tensors are quantized, and which of them together.
        layers: By the name of the convolution; those of the graph at first.
        parameters: By quantizer, for split activations those of the first one; without any, and without dynamic
            ranges, this is a float network.

    Raises:
        EdgehrError: The graph has an operator that is not known here.
    """

    graph: Graph
    placement: Placement = FLOAT
    layers: dict[str, Layer] = field(default_factory=dict)
    parameters: dict[int, QuantizationParameters] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_operators(self.graph)
        for operator in self.graph.convolutions:
            if operator.name not in self.layers:
                weight, bias = self.graph.weight(operator), self.graph.bias(operator)
                self.layers[operator.name] = Layer(torch.tensor(weight), torch.tensor(bias))

    def quantize(self, name: str, value: Tensor) -> Tensor:
        """Round a tensor as its quantizer does; return it unchanged where it has none."""
        quantizer = self.placement.quantizers.get(name, -1)
        if (found := self.parameters.get(quantizer)) is None:
            return value
        bounds = self.placement.bounds(quantizer)
        return round_to_integers(value, found.scale, found.zero_point, *bounds)

    def quantize_split(self, name: str, value: Tensor) -> Tensor:
        """Round a tensor as a convolution with split activations reads it: the sum of what two quantizers make."""
        if (found := self.parameters.get(self.placement.split_quantizers[name])) is None:
            return value
        first = round_to_integers(value, found.scale, 0, *INT8)
        return first + round_to_integers(value - first, found.scale / SPLIT_RATIO, 0, *INT8)

    def read(self, operator: Operator, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that an operator takes, rounded as it reads them."""
        read = {name: values[name] for name in operator.inputs if name in values}
        if operator.name in self.placement.split:
            return {name: self.quantize_split(name, value) for name, value in read.items()}
        if operator.name in self.placement.dynamic:
            shared = shared_range(self.graph, operator)
            return {name: quantize_dynamically(value, shared) for name, value in read.items()}
        if operator.name not in self.placement.integer:
            return read
        return {name: self.quantize(name, value) for name, value in read.items()}

    def written(self, operator: Operator, name: str, value: Tensor) -> Tensor:
        """Return a result of an operator, rounded where the operator rounds it for all consumers."""
        rounds = operator.kind in MOVING or self.placement.returns_int8
        return self.quantize(name, value) if rounds and operator.name in self.placement.integer else value

    def convolve(self, operator: Operator, data: Tensor) -> Tensor:
        """Run a convolution with the layer of this network."""
        layer = self.layers[operator.name]
        return convolve(operator, data, layer.weight, layer.bias)

    def run_operator(self, operator: Operator, values: dict[str, Tensor]) -> list[Tensor]:
        """Run an operator on tensors by name; its results are not rounded yet."""
        read = self.read(operator, values)
        if operator.kind == CONVOLUTION:
            return [self.convolve(operator, read[operator.inputs[0]])]
        return list(compute(self.graph, operator, read))

    def forward(self, images: Tensor, watch: Watch | None = None) -> Tensor:
        """Run the network on a few images (N, 3, H, W), in float with gradients where they are wanted.

        Returns:
            The output; of several, all values of an image in a row.
        """
        images = images.contiguous(memory_format=torch.channels_last)  # convolutions take a quarter of the time so
        values = {self.graph.input: images}
        if watch:
            watch(self.graph.input, images)
        for index, operator in enumerate(self.graph.operators):
            for name, value in zip(operator.outputs, self.run_operator(operator, values), strict=True):
                if watch:
                    watch(name, value)
                values[name] = self.written(operator, name, value)
            drop_unused(self.graph, index, values)
        outputs = [values[name] for name in self.graph.outputs]
        return outputs[0] if len(outputs) == 1 else torch.cat([output.flatten(1) for output in outputs], 1)

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on images (N, 3, H, W), a few at a time, whatever the graph's own batch is.

        Returns:
            The output, (N, K, h, w); of several, all values of an image in a row.
        """
        output: NDArray[np.float32] = torch.cat(side_by_side(self.forward, _few(images))).numpy()
        return output

    def measure(self, images: NDArray[np.float32], look: Callable[[str, Tensor], T | None]) -> dict[str, list[T]]:
        """Run the network on images (N, 3, H, W), a few at a time, and look at its tensors.

        Args:
            images: Inputs.
            look: Called with the name of each tensor and its value before it is quantized, on several threads; returns
                what is to be known of it, or None.

        Returns:
            What it returned for each tensor, in the order of the images.
        """

        def of_few(few: Tensor) -> dict[str, T]:
            seen: dict[str, T] = {}

            def watch(name: str, value: Tensor) -> None:
                if (found := look(name, value)) is not None:
                    seen[name] = found

            self.forward(few, watch)
            return seen

        measured: dict[str, list[T]] = defaultdict(list)
        for seen in side_by_side(of_few, _few(images)):
            for name, found in seen.items():
                measured[name].append(found)
        return measured

    @torch.no_grad()
    def finish(self, outputs: NDArray[np.float32]) -> NDArray[Any]:
        """Make of outputs (N, K, h, w) what the whole graph returns; see `Graph.tail`."""
        finished: NDArray[Any] = compute_tail(self.graph, torch.from_numpy(outputs)).numpy()
        return finished


def _few(images: NDArray[np.float32]) -> list[Tensor]:
    return list(torch.split(torch.from_numpy(images), BATCH))


def round_to_integers(value: Tensor, scale: float, zero_point: int, low: int, high: int) -> Tensor:
    """Quantize to integers of a range and back, as `torch.fake_quantize_per_tensor_affine` does, to the last bit.

    It takes a fifth of the time, and has no gradient.
    """
    inverse = float(np.float32(1) / np.float32(scale))
    return (value * inverse).round_().clamp_(low - zero_point, high - zero_point).mul_(float(np.float32(scale)))


def drop_unused(graph: Graph, index: int, values: dict[str, Tensor]) -> None:
    """Drop the tensors that no operator after this one reads."""
    for name in graph.operators[index].inputs:
        if graph.last_use[name] == index:
            values.pop(name, None)


def shared_range(graph: Graph, convolution: Operator) -> tuple[int, ...]:
    """Return the dimensions that share a dynamic range in a convolution's input.

    TFLite's kernels for float data and INT8 weights look at the data, round them to 8 bits, multiply integers and
    return float, so that nothing is clipped and results are not rounded. XNNPACK, which LiteRT runs on CPUs, does so
    for each position of a 1x1 convolution by itself: scales are small where little happens in a picture.

    Returns:
        `PER_PIXEL` for a 1x1 convolution without strides, which is a product of matrices; `PER_IMAGE` for others.
    """
    pointwise = graph.weight(convolution).shape[2:] == (1, 1)
    return PER_PIXEL if pointwise and convolution.attributes.get("strides", [1, 1]) == [1, 1] else PER_IMAGE


def quantize_dynamically(value: Tensor, shared: tuple[int, ...]) -> Tensor:
    """Round a tensor as a kernel with dynamic ranges does, to 256 levels from its least value to its largest, or zero.

    Args:
        value: (N, C, H, W).
        shared: `PER_PIXEL` or `PER_IMAGE`.
    """
    low = value.amin(shared, keepdim=True).clamp(max=0)
    high = value.amax(shared, keepdim=True).clamp(min=0)
    scale = ((high - low) / LEVELS).clamp(min=MIN_SCALE)
    zero_point = (INT8[0] - low / scale).round().clamp(*INT8)
    return (value / scale).round_().add_(zero_point).clamp_(*INT8).sub_(zero_point).mul_(scale)
