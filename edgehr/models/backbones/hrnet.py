"""HRNet: parallel branches of falling resolution, fused again and again.

Sun, Xiao, Liu, Wang: Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019;
Wang et al.: Deep High-Resolution Representation Learning for Visual Recognition, TPAMI 2020. Module names follow the
reference code (deep-high-resolution-net.pytorch, mmpose), so that its checkpoints load by name.

Branch i has `width * 2**i` channels and 1 / (4 * 2**i) of the input's resolution. The code bases differ in how branches
are upsampled where they are fused, and in how strided convolutions are padded, with the very same keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.layers import check_input

STEM_CHANNELS = 64


@dataclass(frozen=True)
class Depth:
    """Says how many layers a network has.

    Attributes:
        bottlenecks: Of stage 1, which has one resolution.
        bottleneck_channels: Of these.
        modules: Of stages 2, 3 and 4.
        blocks: Of each branch of a module.
    """

    bottlenecks: int
    bottleneck_channels: int
    modules: tuple[int, int, int]
    blocks: int


# The small ones are those of HRNet-Image-Classification; mmseg's "hr18s" is W18 of `small_v2`.
DEPTHS = {
    "full": Depth(4, 64, (1, 4, 3), 4),
    "small_v1": Depth(1, 32, (1, 1, 1), 2),
    "small_v2": Depth(2, 64, (1, 3, 2), 2),
}


@dataclass(frozen=True)
class Resampling:
    """Says how the resolution of maps is changed, which the keys of a checkpoint do not tell.

    Attributes:
        upsampling: ``nearest`` (pose, classification, detection) or ``bilinear`` (segmentation, the official face
            landmarks).
        align_corners: Whether bilinear upsampling maps corner pixels to each other.
        padding: Of strided convolutions: ``symmetric``, or ``same`` (one pixel right and below, as PaddleSeg has it).
    """

    upsampling: str = "nearest"
    align_corners: bool = False
    padding: str = "symmetric"

    def __post_init__(self) -> None:
        if self.upsampling not in ("nearest", "bilinear"):
            raise ValueError(f"upsampling must be nearest or bilinear, got {self.upsampling!r}")
        if self.padding not in ("symmetric", "same"):
            raise ValueError(f"padding must be symmetric or same, got {self.padding!r}")

    def upsample(self, factor: int) -> nn.Module:
        """Make the layer that enlarges maps by a factor."""
        corners = self.align_corners if self.upsampling == "bilinear" else None
        return nn.Upsample(scale_factor=factor, mode=self.upsampling, align_corners=corners)

    def downsample(self, inputs: int, outputs: int) -> list[nn.Module]:
        """Make the strided 3x3 convolution that halves maps, and its batch norm."""
        conv = SamePaddedConv2d if self.padding == "same" else nn.Conv2d
        return [conv(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs)]


class SamePaddedConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2 that pads even sides right and below only."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to half of height and width."""
        return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias, self.stride)


def conv_bn(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """Make a convolution without bias and its batch norm, as a list to splice into a Sequential."""
    return [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(channels, channels, 3)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = self.relu(self.bn1(self.conv1(x)))
        result: Tensor = self.relu(x + self.bn2(self.conv2(y)))
        return result


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up by four, and a shortcut (projected where the channels change)."""

    expansion = 4

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1, self.bn1 = conv_bn(inputs, channels, 1)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3)
        self.conv3, self.bn3 = conv_bn(channels, outputs, 1)
        self.downsample = nn.Sequential(*conv_bn(inputs, outputs, 1)) if inputs != outputs else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 * channels, H, W)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(y + shortcut)
        return result


class HRModule(nn.Module):
    """Residual blocks on each branch in parallel, then a fusion in which every branch receives all others."""

    def __init__(self, channels: list[int], fused_branches: int, blocks: int, resampling: Resampling) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(count) for _ in range(blocks))) for count in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._fuse_layer(channels, source, target, resampling) for source in range(len(channels)))
            for target in range(fused_branches)
        )
        self.relu = nn.ReLU()

    @staticmethod
    def _fuse_layer(channels: list[int], source: int, target: int, resampling: Resampling) -> nn.Module:
        """Carry branch `source` to the channels and resolution of branch `target`."""
        inputs, outputs = channels[source], channels[target]
        if source == target:
            return nn.Identity()
        if source > target:  # coarser: 1x1 convolution, then up
            return nn.Sequential(*conv_bn(inputs, outputs, 1), resampling.upsample(2 ** (source - target)))
        steps: list[nn.Module] = []  # finer: strided 3x3 convolutions, the last of which changes the channels
        for _ in range(target - source - 1):
            steps.append(nn.Sequential(*resampling.downsample(inputs, inputs), nn.ReLU()))
        steps.append(nn.Sequential(*resampling.downsample(inputs, outputs)))
        return nn.Sequential(*steps)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to one a fused branch, of the same shapes."""
        branches = [blocks(x) for blocks, x in zip(self.branches, branches, strict=True)]
        fused = []
        for layers in self.fuse_layers:
            total = layers[0](branches[0])  # type: ignore[index]
            for layer, x in zip(layers[1:], branches[1:], strict=True):  # type: ignore[index]
                total = total + layer(x)
            fused.append(self.relu(total))
        return fused


class HRNet(nn.Module):
    """The backbone: a stem to 1/4 resolution, then four stages, each adding a branch.

    Args:
        width: Channels of the highest-resolution branch (18, 32, 48, ...); the others double step by step.
        all_branches: Fuse all four branches at the end (V2), or only the highest-resolution one (V1).
        depth: A name of `DEPTHS`.
        resampling: How the resolution of maps is changed.
    """

    transition1: nn.ModuleList
    transition2: nn.ModuleList
    transition3: nn.ModuleList
    stage2: nn.Sequential
    stage3: nn.Sequential
    stage4: nn.Sequential

    def __init__(
        self, width: int, all_branches: bool = False, depth: str = "full", resampling: Resampling | None = None
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {', '.join(DEPTHS)}, got {depth!r}")
        size, resampling = DEPTHS[depth], resampling or Resampling()
        self.conv1, self.bn1 = resampling.downsample(3, STEM_CHANNELS)
        self.conv2, self.bn2 = resampling.downsample(STEM_CHANNELS, STEM_CHANNELS)
        self.relu = nn.ReLU()
        inputs, middle = Bottleneck.expansion * size.bottleneck_channels, size.bottleneck_channels
        self.layer1 = nn.Sequential(
            Bottleneck(STEM_CHANNELS, middle), *(Bottleneck(inputs, middle) for _ in range(size.bottlenecks - 1))
        )

        channels = [width * 2**branch for branch in range(4)]
        self.channels = channels
        last = [2, 3, 4 if all_branches else 1]  # branches that are fused at the end of each stage
        before = [inputs]
        for number, (modules, fused) in enumerate(zip(size.modules, last, strict=True), 1):
            after = channels[: number + 1]
            counts = [len(after)] * (modules - 1) + [fused]
            stage = nn.Sequential(*(HRModule(after, count, size.blocks, resampling) for count in counts))
            self.add_module(f"transition{number}", self._transition(before, after, resampling))
            self.add_module(f"stage{number + 1}", stage)
            before = after

    @staticmethod
    def _transition(before: list[int], after: list[int], resampling: Resampling) -> nn.ModuleList:
        """Adapt the channels of branches that change them, and start the new branch from the lowest one."""
        layers: list[nn.Module] = []
        for inputs, outputs in zip(before, after, strict=False):
            same = inputs == outputs
            layers.append(nn.Identity() if same else nn.Sequential(*conv_bn(inputs, outputs, 3), nn.ReLU()))
        down = nn.Sequential(*resampling.downsample(before[-1], after[-1]), nn.ReLU())
        layers.append(nn.Sequential(down))
        return nn.ModuleList(layers)

    @staticmethod
    def _enter(transition: nn.ModuleList, branches: list[Tensor]) -> list[Tensor]:
        """Pass the branches through a transition; the new branch is made from the last one."""
        return [layer(x) for layer, x in zip(transition, [*branches, branches[-1]], strict=True)]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W), H and W divisible by 32, to the fused branches, highest resolution (1/4) first."""
        check_input(image)
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.relu(self.bn2(self.conv2(x)))
        branches = [self.layer1(x)]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            branches = stage(self._enter(transition, branches))
        return branches
