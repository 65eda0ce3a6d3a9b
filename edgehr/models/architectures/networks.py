"""The networks that cards name: a backbone and a head each, by the parameters in the card."""

from __future__ import annotations

from torch import nn

from edgehr.models.backbones.hrnet import HRNet, Resampling
from edgehr.models.backbones.lite_hrnet import LiteHRNet
from edgehr.models.heads.classification import ClassificationHead
from edgehr.models.heads.dense import ConcatHead, SingleBranchHead
from edgehr.models.heads.fcos import FCOSHead
from edgehr.models.heads.labels import ToLabels
from edgehr.models.heads.ocr import OCRHead
from edgehr.models.heads.roi import BoxHead, MaskHead, MaskProbabilities
from edgehr.models.heads.rpn import PyramidAndProposals, RPNHead
from edgehr.models.necks.hrfpn import CHANNELS, HRFPN
from edgehr.models.network import Network


def hrnet(num_outputs: int, width: int, depth: str = "full") -> Network:
    """Build HRNet V1, whose head reads the highest-resolution branch."""
    backbone = HRNet(width, depth=depth)
    return Network(backbone, SingleBranchHead(backbone.channels, num_outputs))


def hrnetv2(
    num_outputs: int,
    width: int,
    depth: str = "full",
    upsampling: str = "nearest",
    align_corners: bool = False,
    padding: str = "symmetric",
    labels: bool = False,
    probabilities: bool = False,
) -> Network:
    """Build HRNet V2, whose head reads all branches; the parameters are those of `HRNet` and `Resampling`.

    With `labels` it returns the number of each pixel's class in place of logits, with `probabilities` their softmax.
    """
    backbone = HRNet(width, True, depth, Resampling(upsampling, align_corners, padding))
    head = ConcatHead(backbone.channels, num_outputs, align_corners)
    return Network(backbone, head, _finish(align_corners, labels, probabilities))


def hrnet_ocr(
    num_outputs: int,
    width: int,
    depth: str = "full",
    align_corners: bool = False,
    labels: bool = False,
    probabilities: bool = False,
) -> Network:
    """Build HRNet V2 with the OCR head; its branches are upsampled bilinearly.

    `labels` and `probabilities` are as for `hrnetv2`.
    """
    backbone = HRNet(width, True, depth, Resampling("bilinear", align_corners))
    head = OCRHead(backbone.channels, num_outputs, align_corners)
    return Network(backbone, head, _finish(align_corners, labels, probabilities))


def _finish(align_corners: bool, labels: bool, probabilities: bool) -> nn.Module | None:
    """Make what is done with the logits of a segmentation network, if anything."""
    if labels:
        return ToLabels(align_corners)
    return nn.Softmax(dim=1) if probabilities else None


def hrnet_classifier(num_outputs: int, width: int, depth: str = "full") -> Network:
    """Build HRNet for image classification."""
    backbone = HRNet(width, True, depth)
    return Network(backbone, ClassificationHead(backbone.channels, num_outputs))


def lite_hrnet(num_outputs: int, depth: int, variant: str = "lite") -> Network:
    """Build Lite-HRNet."""
    backbone = LiteHRNet(depth, variant)
    return Network(backbone, SingleBranchHead(backbone.channels, num_outputs))


LEVELS = 5  # of the pyramid, HRNetV2p
ANCHORS = 3  # at each place, one a ratio


def hrnet_fcos(num_outputs: int, width: int, depth: str = "full") -> Network:
    """Build FCOS on HRNetV2p."""
    backbone = HRNet(width, True, depth)
    head = FCOSHead(num_outputs, LEVELS, CHANNELS)
    return Network(backbone, nn.Sequential(HRFPN(backbone.channels, LEVELS, stride=2), head))


def hrnet_rcnn(num_outputs: int, width: int, stages: int = 1, masks: bool = False, depth: str = "full") -> Network:
    """Build Faster R-CNN on HRNetV2p, Cascade R-CNN with several `stages`, and either with `masks`.

    Box heads and the mask head are parts: they look at regions, which are chosen outside of the network.
    """
    backbone = HRNet(width, True, depth)
    cascade = stages > 1
    parts: dict[str, nn.Module] = {
        f"box_head{number}" if cascade else "box_head": BoxHead(CHANNELS, num_outputs, class_agnostic=cascade)
        for number in range(stages)
    }
    if masks:
        parts["mask_head"] = MaskProbabilities([MaskHead(CHANNELS, num_outputs) for _ in range(stages)])
    head = PyramidAndProposals(HRFPN(backbone.channels, LEVELS), RPNHead(CHANNELS, ANCHORS))
    return Network(backbone, head, parts=parts)
