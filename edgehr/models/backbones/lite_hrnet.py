"""Lite-HRNet: HRNet's parallel branches and fusions, built from shuffle blocks without 1x1 convolutions.

Yu et al.: Lite-HRNet: A Lightweight High-Resolution Network, CVPR 2021. Module names follow the reference code
(HRNet/Lite-HRNet, mmpose), so that its checkpoints load by name. `naive` keeps the plain shuffle blocks; `wider naive`
is the same with the channels of the full network (PP-TinyPose uses it).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.layers import ConvModule, check_input

STEM_CHANNELS = 32
BLOCKS_PER_MODULE = 2
CHANNELS = {"lite": 40, "wider_naive": 40, "naive": 30}
MODULES_PER_STAGE = {18: (2, 4, 2), 30: (3, 8, 3)}
CROSS_RESOLUTION_RATIO = 8
SPATIAL_RATIO = 4


def channel_shuffle(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels: (N, C, H, W), C even, to the same shape."""
    n, c, h, w = x.shape
    return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Stem(nn.Module):
    """Image to 1/4 resolution: a strided convolution and a strided shuffle block."""

    def __init__(self) -> None:
        super().__init__()
        half = STEM_CHANNELS // 2
        self.conv1 = ConvModule(3, STEM_CHANNELS, 3, stride=2, activation=nn.ReLU())
        self.branch1 = nn.Sequential(
            ConvModule(half, half, 3, stride=2, groups=half),
            ConvModule(half, half, 1, activation=nn.ReLU()),
        )
        self.expand_conv = ConvModule(half, STEM_CHANNELS, 1, activation=nn.ReLU())
        self.depthwise_conv = ConvModule(STEM_CHANNELS, STEM_CHANNELS, 3, stride=2, groups=STEM_CHANNELS)
        self.linear_conv = ConvModule(STEM_CHANNELS, half, 1, activation=nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 32, H / 4, W / 4)."""
        x1, x2 = self.conv1(image).chunk(2, dim=1)
        x2 = self.linear_conv(self.depthwise_conv(self.expand_conv(x2)))
        return channel_shuffle(torch.cat([self.branch1(x1), x2], dim=1))


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's block at stride 1: one half stays, the other goes through 1x1, depthwise 3x3, 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(
            ConvModule(half, half, 1, activation=nn.ReLU()),
            ConvModule(half, half, 3, groups=half),
            ConvModule(half, half, 1, activation=nn.ReLU()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x1, x2 = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat([x1, self.branch2(x2)], dim=1))


class SpatialWeighting(nn.Module):
    """Weigh each channel of one branch by a function of the branch's global averages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // SPATIAL_RATIO
        self.conv1 = ConvModule(channels, hidden, 1, norm=False, activation=nn.ReLU())
        self.conv2 = ConvModule(hidden, channels, 1, norm=False, activation=nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weights: Tensor = self.conv2(self.conv1(x.mean((2, 3), keepdim=True)))
        return x * weights


def pool_to_lowest(branches: list[Tensor]) -> Tensor:
    """Average all branches to the resolution of the last and concatenate their channels."""
    lowest = len(branches) - 1
    # Sides divide by 32, so each step down is exactly two and plain pooling equals the reference's adaptive one.
    pooled = [F.avg_pool2d(x, 2 ** (lowest - i)) for i, x in enumerate(branches[:-1])] + [branches[-1]]
    return torch.cat(pooled, dim=1)


def weigh_across(branches: list[Tensor], weights: Tensor, channels: list[int]) -> list[Tensor]:
    """Multiply each branch by its share of weights at the lowest resolution, brought up to its own."""
    lowest = len(branches) - 1
    shares = torch.split(weights, channels, dim=1)
    up = [F.interpolate(w, scale_factor=float(2 ** (lowest - i))) for i, w in enumerate(shares[:-1])]
    return [x * w for x, w in zip(branches, [*up, shares[-1]], strict=True)]


class CrossResolutionWeighting(nn.Module):
    """Weigh every channel and position by a function of all branches, computed at the lowest resolution."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.channels = channels
        total = sum(channels)
        hidden = total // CROSS_RESOLUTION_RATIO
        self.conv1 = ConvModule(total, hidden, 1, activation=nn.ReLU())
        self.conv2 = ConvModule(hidden, total, 1, activation=nn.Sigmoid())

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to the same shapes."""
        return weigh_across(branches, self.conv2(self.conv1(pool_to_lowest(branches))), self.channels)


class ConditionalChannelWeighting(nn.Module):
    """The Lite-HRNet block: a shuffle block whose 1x1 convolutions are replaced by two channel weightings.

    It spans all branches, since the first weighting looks at all of them.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        halves = [count // 2 for count in channels]
        self.cross_resolution_weighting = CrossResolutionWeighting(halves)
        self.depthwise_convs = nn.ModuleList(ConvModule(half, half, 3, groups=half) for half in halves)
        self.spatial_weighting = nn.ModuleList(SpatialWeighting(half) for half in halves)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to the same shapes."""
        halves = [x.chunk(2, dim=1) for x in branches]
        unchanged = [half[0] for half in halves]
        weighted: list[Tensor] = self.cross_resolution_weighting([half[1] for half in halves])
        weighted = [conv(x) for conv, x in zip(self.depthwise_convs, weighted, strict=True)]
        weighted = [weigh(x) for weigh, x in zip(self.spatial_weighting, weighted, strict=True)]
        return [channel_shuffle(torch.cat(pair, dim=1)) for pair in zip(unchanged, weighted, strict=True)]


def separable(inputs: int, outputs: int, *, stride: int, relu: bool) -> nn.Sequential:
    """Make a depthwise 3x3 and a pointwise convolution, each with batch norm."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class LiteHRModule(nn.Module):
    """Two blocks on the parallel branches, then a fusion."""

    def __init__(self, channels: list[int], naive: bool) -> None:
        super().__init__()
        self.naive = naive
        blocks = range(BLOCKS_PER_MODULE)
        if naive:
            self.layers: nn.Module = nn.ModuleList(
                nn.Sequential(*(ShuffleUnit(count) for _ in blocks)) for count in channels
            )
        else:
            self.layers = nn.Sequential(*(ConditionalChannelWeighting(channels) for _ in blocks))
        branches = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._fuse_layer(channels, source, target) for source in branches) for target in branches
        )
        self.relu = nn.ReLU()

    @staticmethod
    def _fuse_layer(channels: list[int], source: int, target: int) -> nn.Module:
        """Carry branch `source` to the channels and resolution of branch `target`."""
        inputs, outputs = channels[source], channels[target]
        if source == target:
            return nn.Identity()
        if source > target:
            up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), up)
        steps = [separable(inputs, inputs, stride=2, relu=True) for _ in range(target - source - 1)]
        return nn.Sequential(*steps, separable(inputs, outputs, stride=2, relu=False))

    def _run_blocks(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to the same shapes, before fusion."""
        if self.naive:
            return [blocks(x) for blocks, x in zip(self.layers, branches, strict=True)]  # type: ignore[call-overload]
        result: list[Tensor] = self.layers(branches)
        return result

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to the same shapes.

        The reference sums in place and starts each sum with branch 0's share before adding every branch, so branch 0
        counts twice everywhere, and the later sums read branch 0 after it was fused. Trained weights rely on both.
        """
        branches = self._run_blocks(branches)
        fused: list[Tensor] = []
        for target, layers in enumerate(self.fuse_layers):
            shares = [layer(x) for layer, x in zip(layers, branches, strict=True)]  # type: ignore[call-overload]
            total = shares[0] + shares[0]
            for share in shares[1:]:
                total = total + share
            if target == 0:
                branches = [total, *branches[1:]]
            fused.append(self.relu(total))
        return fused


class SeparableConv(nn.Module):
    """Depthwise 3x3 and pointwise convolution, named as mmcv's DepthwiseSeparableConvModule names its parts."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(inputs, inputs, 3, groups=inputs)
        self.pointwise_conv = ConvModule(inputs, outputs, 1, activation=nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        result: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return result


class IterativeHead(nn.Module):
    """Carry the lowest branch upwards, step by step, into the highest-resolution one.

    Args:
        projects: What each branch goes through, the lowest first; its output has the channels of the next.
    """

    def __init__(self, projects: Iterable[nn.Module]) -> None:
        super().__init__()
        self.projects = nn.ModuleList(projects)

    @classmethod
    def from_channels(cls, channels: list[int]) -> IterativeHead:
        """Make the head as it is trained, for branches of these channels."""
        upwards = channels[::-1]
        following = [*upwards[1:], upwards[-1]]
        return cls(SeparableConv(inputs, outputs) for inputs, outputs in zip(upwards, following, strict=True))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch, highest resolution first, to the same, each with the channels of the next higher."""
        results: list[Tensor] = []
        for project, x in zip(self.projects, branches[::-1], strict=True):
            if results:
                x = x + F.interpolate(results[-1], size=x.shape[2:], mode="bilinear", align_corners=True)
            results.append(project(x))
        return results[::-1]


class LiteHRNet(nn.Module):
    """The backbone.

    Args:
        depth: 18 or 30: how many fusion modules the stages have.
        variant: ``lite`` (conditional channel weighting), ``naive`` or ``wider_naive`` (shuffle blocks).
    """

    def __init__(self, depth: int, variant: str = "lite") -> None:
        super().__init__()
        self.stem = Stem()
        channels = [CHANNELS[variant] * 2**branch for branch in range(4)]
        self.channels = channels
        before = [STEM_CHANNELS]
        for stage, modules in enumerate(MODULES_PER_STAGE[depth]):
            after = channels[: stage + 2]
            self.add_module(f"transition{stage}", self._transition(before, after))
            blocks = (LiteHRModule(after, naive=variant != "lite") for _ in range(modules))
            self.add_module(f"stage{stage}", nn.Sequential(*blocks))
            before = after
        self.head_layer = IterativeHead.from_channels(channels)

    @staticmethod
    def _transition(before: list[int], after: list[int]) -> nn.ModuleList:
        """Adapt the channels of branches that change them, and start the new branch from the lowest one."""
        layers: list[nn.Module] = []
        for inputs, outputs in zip(before, after, strict=False):
            layers.append(nn.Identity() if inputs == outputs else separable(inputs, outputs, stride=1, relu=True))
        layers.append(nn.Sequential(separable(before[-1], after[-1], stride=2, relu=True)))
        return nn.ModuleList(layers)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W), H and W divisible by 32, to the branches, highest resolution (1/4) first."""
        check_input(image)
        branches = [self.stem(image)]
        for stage in range(3):
            transition, modules = self.get_submodule(f"transition{stage}"), self.get_submodule(f"stage{stage}")
            entered = zip(transition, [*branches, branches[-1]], strict=True)  # type: ignore[call-overload]
            branches = modules([layer(x) for layer, x in entered])
        result: list[Tensor] = self.head_layer(branches)
        return result
