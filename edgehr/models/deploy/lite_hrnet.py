"""Rewrite Lite-HRNet for inference: the same function of the same weights.

What is gone, and why the function stays:

- Batch norm is folded into the convolution before it, as both are affine (`folded_conv`).
- Shuffles become the order of weights (`channel_layout`), and the blocks' splits and concatenations zeros and ones in
  weights (`channel_weighting`) or fewer slices (`shuffle_units`).
- A depthwise convolution leaves its bias to the pointwise one that follows it directly (`folded_conv`).
- Doubling branch 0 in each fusion becomes a power of two in the weights, exact in floating point (`DeployModule`).
- What lower branches add is summed on its way up (`DeployModule`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.layers import check_input
from edgehr.models.backbones.lite_hrnet import STEM_CHANNELS, IterativeHead, LiteHRModule, LiteHRNet, Stem
from edgehr.models.deploy.channel_layout import ChannelLayout, original_order, sort_by_lifetime
from edgehr.models.deploy.channel_weighting import rewrite_weighting
from edgehr.models.deploy.folded_conv import FoldedConv, build_separable
from edgehr.models.deploy.forms import Form
from edgehr.models.deploy.resolution import add_upsampled, from_patches, to_patches
from edgehr.models.deploy.shuffle_units import rewrite_units

# Branch 0 is carried at a fraction of its values, halved by each fusion. Beyond this, float16 would lose small values.
MAX_SCALE = 16.0


class DeployStem(nn.Module):
    """The stem; its first convolution is cut in two, so that no tensor has to be split.

    Args:
        original: The trained one.
        joined: Keep the first convolution in one piece instead and have both its readers take all of its channels, with
            weights of zero for those that are not theirs. A convolution of three channels costs an INT8 matrix unit the
            same whether it makes 16 channels or 32.
    """

    def __init__(self, original: Stem, *, joined: bool = False) -> None:
        super().__init__()
        half = STEM_CHANNELS // 2
        first, second = tuple(range(half)), tuple(range(half, STEM_CHANNELS))
        entry, hidden = FoldedConv.from_module(original.conv1), ChannelLayout(original_order(half))
        expand = FoldedConv.from_module(original.expand_conv)
        if joined:
            entries, source = [entry], ChannelLayout(original_order(half), padding=half)
            expand = expand.with_inputs((*[None] * half, *original_order(half)))
        else:
            entries, source = [entry.with_outputs(first), entry.with_outputs(second)], hidden
        self.entries = nn.ModuleList(nn.Sequential(part.build(), nn.ReLU()) for part in entries)
        # The branches' names are in those of weights, by which quantized files and their recipes name layers.
        depthwise, pointwise = (FoldedConv.from_module(layer) for layer in original.branch1)  # type: ignore[arg-type]
        self.passing = build_separable(depthwise, pointwise, source, hidden)
        depthwise = FoldedConv.from_module(original.depthwise_conv)
        pointwise = FoldedConv.from_module(original.linear_conv)
        expanded = ChannelLayout(original_order(STEM_CHANNELS))
        self.working = nn.Sequential(expand.build(), nn.ReLU(), build_separable(depthwise, pointwise, expanded, hidden))
        self.layout = ChannelLayout((*range(0, STEM_CHANNELS, 2), *range(1, STEM_CHANNELS, 2)))

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 32, H / 4, W / 4), laid out as `layout` says."""
        entered = [entry(image) for entry in self.entries]
        return torch.cat([self.passing(entered[0]), self.working(entered[-1])], dim=1)


def fold_separable(original: Any, source: ChannelLayout, target: ChannelLayout, *, relu: bool) -> nn.Sequential:
    """Rewrite a depthwise and a pointwise convolution, each with a batch norm, from one layout to another."""
    depthwise, pointwise = FoldedConv.from_conv(*original[0:2]), FoldedConv.from_conv(*original[2:4])
    return build_separable(depthwise, pointwise, source, target, relu=relu)


class DeployModule(nn.Module):
    """A fusion module.

    Its fusions add what branches above and below give. Branch 0 counts twice: what it gives others is written doubled,
    and its own sum is written at half its values, which its `layouts` say by a doubled scale. What lower branches give
    is summed on its way up, since nearest upsampling by 4 is upsampling by 2 twice and commutes with sums: each branch
    receives one upsampled tensor and not one from every branch below it.

    Args:
        original: The trained one.
        layouts: How the branches arrive.
        form: How to write it down.

    Attributes:
        layouts: How the branches leave.
    """

    def __init__(self, original: LiteHRModule, layouts: list[ChannelLayout], form: Form) -> None:
        super().__init__()
        self.form = form
        if original.naive:
            self.blocks, layouts = rewrite_units(original.layers, layouts, split=form.split)
        else:
            self.blocks, layouts = rewrite_weighting(list(original.layers), layouts, form)  # type: ignore[call-overload]
        top = layouts[0]
        self.doubles = top.scale >= MAX_SCALE
        self.layouts = [top if self.doubles else replace(top, scale=2 * top.scale), *layouts[1:]]
        branches = range(len(layouts))
        layers: Any = original.fuse_layers
        self.down = nn.ModuleList(
            nn.ModuleList(
                self._down(
                    layers[target][source],
                    self.layouts[source],
                    # Written at half the scale is written twice as large.
                    replace(layouts[target], scale=1.0 if source else 0.5),
                )
                for source in range(target)
            )
            for target in branches
        )
        self.up = nn.ModuleList(
            nn.ModuleList(
                FoldedConv.from_conv(layers[target][source][0], layers[target][source][1])
                .with_inputs(layouts[source].padded_order, layouts[source].scale)
                .with_outputs(self.layouts[target].padded_order, self.layouts[target].scale)
                .build()
                for source in branches if source > target
            )
            for target in branches
        )  # fmt: skip

    def _down(self, steps: Any, source: ChannelLayout, target: ChannelLayout) -> nn.Sequential:
        """Rewrite strided steps from one branch to a lower one."""
        modules = []
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            output = target if last else self.form.pad(original_order(source.channels))
            modules.append(fold_separable(step, source, output, relu=not last))
            source = output
        return nn.Sequential(*modules)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one tensor a branch to the same shapes."""
        branches = self.blocks(branches)
        broadcast = self.form.broadcast
        fused = []
        for target, (down, up) in enumerate(zip(self.down, self.up, strict=True)):
            total = branches[target]
            if target == 0 and self.doubles:
                total = total + total
            for x, layer in zip(branches, down, strict=False):  # type: ignore[call-overload]
                total = total + layer(x)
            below: Tensor | None = None
            for source in range(len(branches) - 1, target, -1):
                share = up[source - target - 1](branches[source])  # type: ignore[index]
                below = share if below is None else add_upsampled(share, below, broadcast=broadcast)
            total, active = self._finish(total, below)
            if target == 0:
                branches = [total, *branches[1:]]  # the branches below read it before its ReLU, as in the reference
            fused.append(active)
        return fused

    def _finish(self, total: Tensor, below: Tensor | None) -> tuple[Tensor, Tensor]:
        """Add what came up, (N, C, H / 2, W / 2), to (N, C, H, W); returns the sum, and the same after its ReLU."""
        if below is not None and self.form.broadcast:
            patches = to_patches(total, 2) + to_patches(below, 1)
            return from_patches(patches), from_patches(F.relu(patches))
        if below is not None:
            total = add_upsampled(total, below, broadcast=False)
        return total, F.relu(total)


def deploy_head(original: IterativeHead, layouts: list[ChannelLayout]) -> IterativeHead:
    """Rewrite the iterative head for reordered and scaled branches."""
    upwards = layouts[::-1]
    targets = [*upwards[1:], ChannelLayout(original_order(upwards[-1].channels))]
    projects = []
    for project, source, target in zip(original.projects, upwards, targets, strict=True):
        depthwise, pointwise = (FoldedConv.from_module(part) for part in project.children())  # type: ignore[arg-type]
        projects.append(build_separable(depthwise, pointwise, source, target))
    return IterativeHead(projects)


class DeployLiteHRNet(nn.Module):
    """The backbone.

    Args:
        original: A trained `LiteHRNet`.
        form: How to write it down.
    """

    def __init__(self, original: LiteHRNet, form: Form) -> None:
        super().__init__()
        if original.stage0[0].naive:  # type: ignore[union-attr,index]
            form = form.for_shuffle_units()
        self.stem = DeployStem(original.stem, joined=form.joined_stem)
        layouts = [self.stem.layout]
        self.transitions = nn.ModuleList()
        self.stages = nn.ModuleList()
        for stage in range(3):
            transition, layouts = self._transition(original.get_submodule(f"transition{stage}"), layouts, form)
            modules = nn.ModuleList()
            for module in original.get_submodule(f"stage{stage}"):  # type: ignore[attr-defined]
                modules.append(DeployModule(module, layouts, form))
                layouts = modules[-1].layouts  # type: ignore[assignment]
            self.transitions.append(transition)
            self.stages.append(modules)
        self.head_layer = deploy_head(original.head_layer, layouts)

    @staticmethod
    def _transition(
        original: Any, layouts: list[ChannelLayout], form: Form
    ) -> tuple[nn.ModuleList, list[ChannelLayout]]:
        """Rewrite a transition; also returns how the branches leave."""
        layers: list[nn.Module] = []
        after: list[ChannelLayout] = []
        for layer, source in zip(original, [*layouts, layouts[-1]], strict=True):
            if isinstance(layer, nn.Identity):
                layers.append(nn.Identity())
                after.append(source)
                continue
            step: Any = layer[0] if isinstance(layer[0], nn.Sequential) else layer
            channels = int(step[2].out_channels)
            after.append(form.pad(sort_by_lifetime(range(channels), channels)))
            layers.append(fold_separable(step, source, after[-1], relu=True))
        return nn.ModuleList(layers), after

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W), H and W divisible by 32, to the branches, highest resolution (1/4) first."""
        check_input(image)
        branches = [self.stem(image)]
        for transition, modules in zip(self.transitions, self.stages, strict=True):
            entered = zip(transition, [*branches, branches[-1]], strict=True)  # type: ignore[call-overload]
            branches = [layer(x) for layer, x in entered]
            for module in modules:  # type: ignore[attr-defined]
                branches = module(branches)
        result: list[Tensor] = self.head_layer(branches)
        return result
