"""HRNet: parallel branches of falling resolution, fused again and again.

Sun, Xiao, Liu, Wang: Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019;
Wang et al.: Deep High-Resolution Representation Learning for Visual Recognition, TPAMI 2020. Module names follow the
reference code (deep-high-resolution-net.pytorch, mmpose), so that its checkpoints load by name.

Branch i has `width * 2**i` channels and 1 / (4 * 2**i) of the input's resolution.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgehr.models.backbones.layers import check_input

STEM_CHANNELS = 64
MODULES_PER_STAGE = (1, 4, 3)  # stages 2, 3 and 4; stage 1 is four bottlenecks at one resolution
BLOCKS_PER_BRANCH = 4


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Make a convolution without bias and its batch norm, as a list to splice into a Sequential."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


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

    def __init__(self, channels: list[int], fused_branches: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(count) for _ in range(BLOCKS_PER_BRANCH))) for count in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._fuse_layer(channels, source, target) for source in range(len(channels)))
            for target in range(fused_branches)
        )
        self.relu = nn.ReLU()

    @staticmethod
    def _fuse_layer(channels: list[int], source: int, target: int) -> nn.Module:
        """Carry branch `source` to the channels and resolution of branch `target`."""
        inputs, outputs = channels[source], channels[target]
        if source == target:
            return nn.Identity()
        if source > target:  # coarser: 1x1 convolution, then up
            up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(*conv_bn(inputs, outputs, 1), up)
        steps: list[nn.Module] = []  # finer: strided 3x3 convolutions, the last of which changes the channels
        for _ in range(target - source - 1):
            steps.append(nn.Sequential(*conv_bn(inputs, inputs, 3, stride=2), nn.ReLU()))
        steps.append(nn.Sequential(*conv_bn(inputs, outputs, 3, stride=2)))
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
    """

    def __init__(self, width: int, all_branches: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(3, STEM_CHANNELS, 3, stride=2)
        self.conv2, self.bn2 = conv_bn(STEM_CHANNELS, STEM_CHANNELS, 3, stride=2)
        self.relu = nn.ReLU()
        inputs = Bottleneck.expansion * STEM_CHANNELS
        self.layer1 = nn.Sequential(
            Bottleneck(STEM_CHANNELS, STEM_CHANNELS), *(Bottleneck(inputs, STEM_CHANNELS) for _ in range(3))
        )

        channels = [width * 2**branch for branch in range(4)]
        self.channels = channels
        self.transition1 = self._transition([inputs], channels[:2])
        self.stage2 = self._stage(channels[:2], MODULES_PER_STAGE[0])
        self.transition2 = self._transition(channels[:2], channels[:3])
        self.stage3 = self._stage(channels[:3], MODULES_PER_STAGE[1])
        self.transition3 = self._transition(channels[:3], channels)
        self.stage4 = self._stage(channels, MODULES_PER_STAGE[2], last_fused=4 if all_branches else 1)

    @staticmethod
    def _transition(before: list[int], after: list[int]) -> nn.ModuleList:
        """Adapt the channels of branches that change them, and start the new branch from the lowest one."""
        layers: list[nn.Module] = []
        for inputs, outputs in zip(before, after, strict=False):
            same = inputs == outputs
            layers.append(nn.Identity() if same else nn.Sequential(*conv_bn(inputs, outputs, 3), nn.ReLU()))
        down = nn.Sequential(*conv_bn(before[-1], after[-1], 3, stride=2), nn.ReLU())
        layers.append(nn.Sequential(down))
        return nn.ModuleList(layers)

    @staticmethod
    def _stage(channels: list[int], modules: int, last_fused: int | None = None) -> nn.Sequential:
        """Stack modules, the last of which fuses only the first `last_fused` branches."""
        fused = [len(channels)] * (modules - 1) + [last_fused or len(channels)]
        return nn.Sequential(*(HRModule(channels, count) for count in fused))

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
