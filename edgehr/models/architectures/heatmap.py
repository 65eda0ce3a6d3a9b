"""Networks that return heatmaps: one for each keypoint, at a quarter of the input's resolution."""

from __future__ import annotations

from edgehr.models.backbones.hrnet import HRNet
from edgehr.models.backbones.lite_hrnet import LiteHRNet
from edgehr.models.heads.heatmap import ConcatHeatmapHead, HeatmapHead
from edgehr.models.network import Network


def hrnet(num_outputs: int, width: int) -> Network:
    """Build HRNet V1, whose head reads the highest-resolution branch."""
    backbone = HRNet(width)
    return Network(backbone, HeatmapHead(backbone.channels, num_outputs))


def hrnetv2(num_outputs: int, width: int) -> Network:
    """Build HRNet V2, whose head reads all branches."""
    backbone = HRNet(width, all_branches=True)
    return Network(backbone, ConcatHeatmapHead(backbone.channels, num_outputs))


def lite_hrnet(num_outputs: int, depth: int, variant: str = "lite") -> Network:
    """Build Lite-HRNet."""
    backbone = LiteHRNet(depth, variant)
    return Network(backbone, HeatmapHead(backbone.channels, num_outputs))
