"""Lite-HRNet in the form made for inference: the same function of the same weights.

What is gone: batch norm (folded), every shuffle (`layout`), splits and concatenations of the blocks (`deploy_blocks`),
and the doubling of branch 0 in each fusion, which becomes a power of two in the weights.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgehr.models.backbones.layers import check_input
from edgehr.models.backbones.lite_hrnet import STEM_CHANNELS, IterativeHead, LiteHRModule, LiteHRNet, Stem
from edgehr.models.deploy.cells import cells_of, from_cells
from edgehr.models.deploy.channel_layout import Stream, by_fate, natural
from edgehr.models.deploy.folded import Folded, pair
from edgehr.models.deploy.forms import Form
from edgehr.models.deploy.late_weighting import LateWeighting
from edgehr.models.deploy.shuffle_blocks import conditional_blocks, naive_blocks

# Branch 0 is carried at a fraction of its values, halved by each fusion. Beyond this, float16 would lose small values.
LARGEST_SCALE = 16.0


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
        nothing = (None,) * half
        entry, inner = Folded.of_module(original.conv1), Stream(natural(half))
        expand = Folded.of_module(original.expand_conv)
        if joined:
            entries, source = [entry], Stream((*natural(half), *nothing))  # type: ignore[arg-type]
            expand = expand.reading((*nothing, *natural(half)))
        else:
            entries, source = [entry.writing(first), entry.writing(second)], inner
        self.entries = nn.ModuleList(nn.Sequential(part.build(), nn.ReLU()) for part in entries)
        depthwise, pointwise = (Folded.of_module(layer) for layer in original.branch1)  # type: ignore[arg-type]
        self.passing = pair(depthwise, pointwise, source, inner)
        depthwise, pointwise = Folded.of_module(original.depthwise_conv), Folded.of_module(original.linear_conv)
        self.working = nn.Sequential(
            expand.build(), nn.ReLU(), pair(depthwise, pointwise, Stream(natural(STEM_CHANNELS)), inner)
        )
        self.output = Stream((*range(0, STEM_CHANNELS, 2), *range(1, STEM_CHANNELS, 2)))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 32, H / 4, W / 4)."""
        entered = [entry(image) for entry in self.entries]
        return torch.cat([self.passing(entered[0]), self.working(entered[-1])], dim=1)


def separable(original: Any, source: Stream, output: Stream, *, relu: bool) -> nn.Sequential:
    """Depthwise and pointwise convolution, each with a batch norm, from one stream to another."""
    return pair(Folded.of(original[0], original[1]), Folded.of(original[2], original[3]), source, output, relu=relu)


class DeployModule(nn.Module):
    """A fusion module.

    Shares from lower branches are summed on their way up, since nearest upsampling by 4 is upsampling by 2 twice: each
    branch receives one upsampled tensor and not one from every branch below it.
    """

    def __init__(self, original: LiteHRModule, streams: list[Stream], form: Form) -> None:
        super().__init__()
        self.form = form
        self.blocks, streams = _blocks(original, streams, form)
        top = streams[0]
        self.doubles = top.scale >= LARGEST_SCALE
        fused = top if self.doubles else replace(top, scale=2 * top.scale)
        self.streams = [fused, *streams[1:]]
        branches = range(len(streams))
        layers: Any = original.fuse_layers
        self.down = nn.ModuleList(
            nn.ModuleList(
                # Branch 0 counts twice: what would be twice its share is written at half the scale.
                self._down(
                    layers[target][source],
                    self.streams[source],
                    replace(streams[target], scale=1.0 if source else 0.5),
                )
                for source in range(target)
            )
            for target in branches
        )
        self.up = nn.ModuleList(
            nn.ModuleList(
                Folded.of(layers[target][source][0], layers[target][source][1])
                .reading(streams[source].slots, streams[source].scale)
                .writing(self.streams[target].slots, self.streams[target].scale)
                .build()
                for source in branches if source > target
            )
            for target in branches
        )  # fmt: skip

    def _down(self, steps: Any, source: Stream, target: Stream) -> nn.Sequential:
        modules = []
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            output = target if last else self.form.stream(natural(source.channels))
            modules.append(separable(step, source, output, relu=not last))
            source = output
        return nn.Sequential(*modules)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """One tensor a branch -> the same shapes."""
        branches = self.blocks(branches)
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
                below = share if below is None else self._add(share, below)
            total, active = self._end(total, below)
            if target == 0:
                branches = [total, *branches[1:]]  # the branches below read it before its ReLU, as in the reference
            fused.append(active)
        return fused

    def _end(self, total: Tensor, below: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sum of (N, C, 2 h, 2 w) and (N, C, h, w), and the same after its ReLU."""
        if below is None:
            return total, F.relu(total)
        if self.form.broadcast:
            cells = cells_of(total, 2) + cells_of(below, 1)
            return from_cells(cells), from_cells(F.relu(cells))
        total = self._add(total, below)
        return total, F.relu(total)

    def _add(self, x: Tensor, below: Tensor) -> Tensor:
        """(N, C, 2 h, 2 w) and (N, C, h, w) -> the former's shape."""
        if self.form.broadcast:
            return from_cells(cells_of(x, 2) + cells_of(below, 1))
        return x + F.interpolate(below, scale_factor=2.0)


def _blocks(original: LiteHRModule, streams: list[Stream], form: Form) -> tuple[nn.Module, list[Stream]]:
    """The blocks of a module, and how the branches leave."""
    if original.naive:
        return naive_blocks(original.layers, streams, split=form.split)
    if form.late_weights:
        late = LateWeighting(list(original.layers), streams, form)  # type: ignore[call-overload]
        return late, late.streams
    return conditional_blocks(original.layers, streams)


def deploy_head(original: IterativeHead, streams: list[Stream]) -> IterativeHead:
    """The iterative head on reordered and scaled branches."""
    upwards = streams[::-1]
    outputs = [*upwards[1:], Stream(natural(upwards[-1].channels))]
    projects = []
    for project, source, output in zip(original.projects, upwards, outputs, strict=True):
        depthwise, pointwise = (Folded.of_module(part) for part in project.children())  # type: ignore[arg-type]
        projects.append(pair(depthwise, pointwise, source, output))
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
        streams = [self.stem.output]
        self.transitions = nn.ModuleList()
        self.stages = nn.ModuleList()
        for stage in range(3):
            transition, streams = self._transition(original.get_submodule(f"transition{stage}"), streams, form)
            modules = nn.ModuleList()
            for module in original.get_submodule(f"stage{stage}"):  # type: ignore[attr-defined]
                modules.append(DeployModule(module, streams, form))
                streams = modules[-1].streams  # type: ignore[assignment]
            self.transitions.append(transition)
            self.stages.append(modules)
        self.head_layer = deploy_head(original.head_layer, streams)

    @staticmethod
    def _transition(original: Any, streams: list[Stream], form: Form) -> tuple[nn.ModuleList, list[Stream]]:
        layers: list[nn.Module] = []
        after: list[Stream] = []
        for layer, source in zip(original, [*streams, streams[-1]], strict=True):
            if isinstance(layer, nn.Identity):
                layers.append(nn.Identity())
                after.append(source)
                continue
            step: Any = layer[0] if isinstance(layer[0], nn.Sequential) else layer
            channels = int(step[2].out_channels)
            after.append(form.stream(by_fate(range(channels), channels)))
            layers.append(separable(step, source, after[-1], relu=True))
        return nn.ModuleList(layers), after

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W), H and W divisible by 32 -> the branches, highest resolution (1/4) first."""
        check_input(image)
        branches = [self.stem(image)]
        for transition, modules in zip(self.transitions, self.stages, strict=True):
            entered = zip(transition, [*branches, branches[-1]], strict=True)  # type: ignore[call-overload]
            branches = [layer(x) for layer, x in entered]
            for module in modules:  # type: ignore[attr-defined]
                branches = module(branches)
        result: list[Tensor] = self.head_layer(branches)
        return result
