"""Convolutions with their batch norm folded in, whose channels can be reordered and scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from edgehr.models.backbones.layers import ConvModule
from edgehr.models.deploy.channel_layout import Stream


@dataclass(frozen=True)
class Folded:
    """A convolution as plain numbers, in float64 until it is built.

    Attributes:
        weight: (outputs, inputs / groups, k, k).
        bias: (outputs,).
        stride: Of the convolution.
        depthwise: One group a channel; otherwise there is one group.
    """

    weight: Tensor
    bias: Tensor
    stride: int
    depthwise: bool

    @classmethod
    def of(cls, conv: nn.Conv2d, norm: nn.Module | None = None) -> Folded:
        """Fold inference-mode batch norm: y = (x - mean) / sqrt(var + eps) * gamma + beta, per channel."""
        weight = conv.weight.detach().double()
        bias = torch.zeros(len(weight), dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()
        if isinstance(norm, nn.BatchNorm2d):
            mean, variance = norm.get_buffer("running_mean").double(), norm.get_buffer("running_var").double()
            gain = norm.weight.detach().double() / torch.sqrt(variance + norm.eps)
            bias = (bias - mean) * gain + norm.bias.detach().double()
            weight = weight * gain.reshape(-1, 1, 1, 1)
        return cls(weight, bias, conv.stride[0], depthwise=conv.groups > 1)

    @classmethod
    def of_module(cls, module: ConvModule) -> Folded:
        """The same for mmcv's trio of convolution, norm and activation; the activation is the caller's."""
        return cls.of(module.conv, module.bn)

    def reading(self, layout: Sequence[int | None], scale: float | Sequence[float] = 1.0) -> Folded:
        """Take inputs that stand in this order, each `scale` times too small; None for one that is not wanted."""
        weight = self.weight[:, _indices(layout)] * torch.tensor(scale, dtype=torch.float64).reshape(1, -1, 1, 1)
        return replace(self, weight=weight.masked_fill(missing_from(layout).reshape(1, -1, 1, 1), 0.0))

    def writing(self, layout: Sequence[int | None], scale: float = 1.0) -> Folded:
        """Give outputs in this order, `scale` times too small; None for zeros."""
        missing = missing_from(layout)
        weight = (self.weight[_indices(layout)] / scale).masked_fill(missing.reshape(-1, 1, 1, 1), 0.0)
        return replace(self, weight=weight, bias=(self.bias[_indices(layout)] / scale).masked_fill(missing, 0.0))

    def along(self, layout: Sequence[int | None], scale: float = 1.0) -> Folded:
        """Depthwise: take and give channels in this order, `scale` times too small; None passes unchanged."""
        missing = missing_from(layout)
        weight, bias = self.weight[_indices(layout)].clone(), self.bias[_indices(layout)] / scale
        weight[missing] = 0.0
        middle = self.weight.shape[-1] // 2
        weight[missing, 0, middle, middle] = 1.0
        return replace(self, weight=weight, bias=bias.masked_fill(missing, 0.0))

    def after(self, depthwise: Folded) -> Folded:
        """Pointwise: take over the bias of the depthwise convolution before it, which then needs none.

        No activation stands between the two. Sums that start from a large bias, taken off again by the next layer,
        would round worse, too.
        """
        return replace(self, bias=self.bias + self.weight[:, :, 0, 0] @ depthwise.bias)

    def without_bias(self) -> Folded:
        """The same with a bias of zero."""
        return replace(self, bias=torch.zeros_like(self.bias))

    def build(self) -> nn.Conv2d:
        """As a layer in float32."""
        outputs, inputs, kernel, _ = self.weight.shape
        groups = outputs if self.depthwise else 1
        conv = nn.Conv2d(
            inputs * groups, outputs, kernel, stride=self.stride, padding=kernel // 2, groups=groups,
            bias=bool(self.bias.any()),
        )  # fmt: skip
        conv.weight = nn.Parameter(self.weight.float().contiguous(), requires_grad=False)
        if conv.bias is not None:
            conv.bias = nn.Parameter(self.bias.float(), requires_grad=False)
        return conv


def pair(depthwise: Folded, pointwise: Folded, source: Stream, output: Stream, *, relu: bool = True) -> nn.Sequential:
    """A depthwise and a pointwise convolution with nothing between them, from one stream to another."""
    layers: list[nn.Module] = [
        depthwise.without_bias().along(source.slots).build(),
        pointwise.after(depthwise).reading(source.slots, source.scale).writing(output.slots, output.scale).build(),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def side_by_side(convs: Sequence[Folded]) -> Folded:
    """Pointwise convolutions of different tensors as one of their concatenation."""
    blocks = [conv.weight[:, :, 0, 0] for conv in convs]
    weight: Tensor = torch.block_diag(*blocks)[:, :, None, None]  # type: ignore[no-untyped-call]
    return replace(convs[0], weight=weight, bias=torch.cat([conv.bias for conv in convs]))


def _indices(layout: Sequence[int | None]) -> Tensor:
    return torch.tensor([0 if channel is None else channel for channel in layout])


def missing_from(layout: Sequence[int | None]) -> Tensor:
    """Which positions of a layout are None, as booleans."""
    return torch.tensor([channel is None for channel in layout])
