"""Layers and checks that the backbones share."""

from __future__ import annotations

from torch import Tensor, nn

from edgehr.errors import EdgehrError

STRIDE = 32


def check_size(height: int, width: int) -> None:
    """Refuse sizes on which the branches do not line up.

    Raises:
        EdgehrError: A side is not a positive multiple of 32. The lowest branch runs at 1/32 resolution; on other sizes
            the branches' sizes round differently and upsampled maps no longer fit the ones they are added to.
    """
    if height <= 0 or width <= 0 or height % STRIDE or width % STRIDE:
        raise EdgehrError(
            f"input size {height}x{width}: both sides must divide by {STRIDE}, because the lowest-resolution branch "
            f"runs at 1/{STRIDE} and its maps must fit the others when they are fused"
        )


def check_input(image: Tensor) -> None:
    """Refuse tensors that are not (N, 3, H, W) with sides divisible by 32."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise EdgehrError(f"expected an image batch (N, 3, H, W), got {tuple(image.shape)}")
    check_size(image.shape[2], image.shape[3])


class ConvModule(nn.Module):
    """Convolution with optional batch norm and activation, named as mmcv's ConvModule names its parts."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=not norm)
        self.bn = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.activation = activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.activation(self.bn(self.conv(x)))
        return result
