"""Fold batch norm into convolutions, and reorder, scale, mask and join their channels by changing their weights.

All of it is exact but for rounding: a convolution is linear, so an affine map or a permutation of its channels before
or behind it is one of its weights. Weights are changed in float64 and rounded to float32 once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from edgehr.models.backbones.layers import ConvModule
from edgehr.models.deploy.channel_layout import ChannelLayout


@dataclass(frozen=True)
class FoldedConv:
    """A convolution as plain numbers, in float64 until it is built.

    Attributes:
        weight: (outputs, inputs / groups, k, k).
        bias: (outputs,).
        stride: In both directions.
        depthwise: One group a channel; otherwise there is one group.
    """

    weight: Tensor
    bias: Tensor
    stride: int
    depthwise: bool

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, norm: nn.Module | None = None) -> FoldedConv:
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
    def from_module(cls, module: ConvModule) -> FoldedConv:
        """Fold convolution and batch norm of a `ConvModule`; the caller adds its activation."""
        return cls.from_conv(module.conv, module.bn)

    def with_inputs(self, order: Sequence[int | None], scale: float | Sequence[float] = 1.0) -> FoldedConv:
        """Read inputs in another order, each `scale` times too small; None for one that must have no effect."""
        weight = self.weight[:, _indices(order)] * torch.tensor(scale, dtype=torch.float64).reshape(1, -1, 1, 1)
        return replace(self, weight=weight.masked_fill(missing_mask(order).reshape(1, -1, 1, 1), 0.0))

    def with_outputs(self, order: Sequence[int | None], scale: float = 1.0) -> FoldedConv:
        """Write outputs in another order, `scale` times too small; None for zeros."""
        missing = missing_mask(order)
        weight = (self.weight[_indices(order)] / scale).masked_fill(missing.reshape(-1, 1, 1, 1), 0.0)
        return replace(self, weight=weight, bias=(self.bias[_indices(order)] / scale).masked_fill(missing, 0.0))

    def with_channels(self, order: Sequence[int | None], scale: float = 1.0) -> FoldedConv:
        """Filter channels in another order, `scale` times too small; None for one that must stay as it is.

        For depthwise convolutions, where each output is of one input.
        """
        missing = missing_mask(order)
        weight, bias = self.weight[_indices(order)].clone(), self.bias[_indices(order)] / scale
        weight[missing] = 0.0
        middle = self.weight.shape[-1] // 2
        weight[missing, 0, middle, middle] = 1.0
        return replace(self, weight=weight, bias=bias.masked_fill(missing, 0.0))

    def with_bias_of(self, depthwise: FoldedConv) -> FoldedConv:
        """Take over the bias of the depthwise convolution before this pointwise one, which then needs none.

        No activation stands between the two. Sums that start from a large bias, taken off again by the next layer,
        would round worse, too.
        """
        return replace(self, bias=self.bias + self.weight[:, :, 0, 0] @ depthwise.bias)

    def without_bias(self) -> FoldedConv:
        """Set the bias to zero."""
        return replace(self, bias=torch.zeros_like(self.bias))

    def build(self) -> nn.Conv2d:
        """Make a layer in float32."""
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


def build_separable(
    depthwise: FoldedConv, pointwise: FoldedConv, source: ChannelLayout, target: ChannelLayout, *, relu: bool = True
) -> nn.Sequential:
    """Make the layers of a depthwise and a pointwise convolution with nothing between them.

    Args:
        depthwise: The first.
        pointwise: The second; it gets the bias of both.
        source: How their input holds its channels.
        target: How their output must.
        relu: Whether a ReLU follows.
    """
    pointwise = pointwise.with_bias_of(depthwise).with_inputs(source.padded_order, source.scale)
    layers: list[nn.Module] = [
        depthwise.without_bias().with_channels(source.padded_order).build(),
        pointwise.with_outputs(target.padded_order, target.scale).build(),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def join_block_diagonal(convs: Sequence[FoldedConv]) -> FoldedConv:
    """Join pointwise convolutions of different tensors into one of the tensors' concatenation.

    Its weights are block-diagonal: each output still reads its own tensor only.
    """
    blocks = [conv.weight[:, :, 0, 0] for conv in convs]
    weight: Tensor = torch.block_diag(*blocks)[:, :, None, None]  # type: ignore[no-untyped-call]
    return replace(convs[0], weight=weight, bias=torch.cat([conv.bias for conv in convs]))


def missing_mask(order: Sequence[int | None]) -> Tensor:
    """Tell which positions of an order are None, as booleans."""
    return torch.tensor([channel is None for channel in order])


def _indices(order: Sequence[int | None]) -> Tensor:
    return torch.tensor([0 if channel is None else channel for channel in order])
