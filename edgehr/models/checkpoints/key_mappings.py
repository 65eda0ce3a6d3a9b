"""Rename the keys of checkpoints to the names that this package's networks use: those of mmpose 1.x.

A code base that names keys in its own way has a `KeyMapping` in `KEY_MAPPINGS`; another one joins as another entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class KeyMapping:
    """The keys of one code base, and the rules that rename them.

    Attributes:
        source: The code base.
        rules: Regular expressions and their replacements, applied to every key one after the other.
    """

    source: str
    rules: tuple[tuple[str, str], ...]

    def rename(self, key: str) -> str:
        """Apply the rules to a key."""
        for pattern, replacement in self.rules:
            key = re.sub(pattern, replacement, key)
        return key


# The one whose names fit the network best is applied; the first of several that fit alike.
KEY_MAPPINGS = (
    KeyMapping(
        "mmseg: FCN and OCR heads",
        (
            (r"^decode_head\.0\.", "head.regions."),
            (r"^decode_head\.(1\.)?", "head."),
            (r"\bconvs\.0\.conv\.", "conv_layers.0."),
            (r"\bconvs\.0\.bn\.", "conv_layers.1."),
            (r"\bconv_seg\.", "final_layer."),
            (r"^head\.bottleneck\.conv\.", "head.bottleneck.0."),
            (r"^head\.bottleneck\.bn\.", "head.bottleneck.1."),
        ),
    ),
    KeyMapping(
        "mmdet: FCOS",
        (
            (r"^neck\.", "head.0."),
            # Early versions; the newer names of the tensors are those of later ones.
            (r"^bbox_head\.fcos_(cls|reg|centerness)\.", r"bbox_head.conv_\1."),
            (r"^bbox_head\.", "head.1."),
        ),
    ),
    KeyMapping(
        "mmdet: Faster, Mask and Cascade R-CNN",
        (
            (r"^neck\.", "head.neck."),
            (r"^rpn_head\.", "head.rpn."),
            (r"^roi_head\.bbox_head\.(\d)\.", r"parts.box_head\1."),
            (r"^roi_head\.bbox_head\.", "parts.box_head."),
            (r"^roi_head\.mask_head\.(\d)\.", r"parts.mask_head.heads.\1."),
            (r"^roi_head\.mask_head\.", "parts.mask_head.heads.0."),
        ),
    ),
    KeyMapping(
        "mmpretrain: classification",
        (
            (r"^neck\.increase_layers\.", "head.incre_modules."),
            (r"^neck\.downsample_layers\.(\d)\.conv\.", r"head.downsamp_modules.\1.0."),
            (r"^neck\.downsample_layers\.(\d)\.bn\.", r"head.downsamp_modules.\1.1."),
            (r"^neck\.final_layer\.conv\.", "head.final_layer.0."),
            (r"^neck\.final_layer\.bn\.", "head.final_layer.1."),
            (r"^head\.fc\.", "head.classifier."),
        ),
    ),
    KeyMapping(
        "mmpose 1.x, mmpose 0.x and the official Lite-HRNet",
        (
            (r"^keypoint_head\.", "head."),
            # mmpose 0.x puts the extra convolution of HRNetV2 heads and the last layer into one Sequential.
            (r"^head\.final_layer\.([01])\.", r"head.conv_layers.\1."),
            (r"^head\.final_layer\.3\.", "head.final_layer."),
        ),
    ),
    KeyMapping(
        "the official HRNet repositories and timm, whose keys have no prefix",
        (
            # HRNet-Semantic-Segmentation, with the OCR head and without it.
            (r"^last_layer\.([01])\.", r"head.conv_layers.\1."),
            (r"^last_layer\.3\.", "head.final_layer."),
            (r"^aux_head\.([01])\.", r"head.regions.conv_layers.\1."),
            (r"^aux_head\.3\.", "head.regions.final_layer."),
            (r"^conv3x3_ocr\.0\.", "head.bottleneck.0."),
            (r"^conv3x3_ocr\.1\.0\.", "head.bottleneck.1."),
            (r"^cls_head\.", "head.final_layer."),
            (r"^ocr_distri_head\.conv_bn_dropout\.0\.", "head.object_context_block.bottleneck.conv."),
            (r"^ocr_distri_head\.conv_bn_dropout\.1\.0\.", "head.object_context_block.bottleneck.bn."),
            (r"^ocr_distri_head\.", "head."),
            (r"\bf_pixel\.", "query_project."),
            (r"\bf_object\.", "key_project."),
            (r"\bf_down\.", "value_project."),
            (r"\bf_up\.", "out_project."),
            (r"\b(query|key)_project\.0\.", r"\1_project.0.conv."),
            (r"\b(query|key)_project\.1\.0\.", r"\1_project.0.bn."),
            (r"\b(query|key)_project\.2\.", r"\1_project.1.conv."),
            (r"\b(query|key)_project\.3\.0\.", r"\1_project.1.bn."),
            (r"\b(value|out)_project\.0\.", r"\1_project.conv."),
            (r"\b(value|out)_project\.1\.0\.", r"\1_project.bn."),
            # HRNet-Facial-Landmark-Detection.
            (r"^head\.([01])\.", r"head.conv_layers.\1."),
            (r"^head\.3\.", "head.final_layer."),
            # HRNet-Image-Classification and timm; `final_layer` is of pose, too.
            (r"^(incre_modules|downsamp_modules|final_layer|classifier)\.", r"head.\1."),
            (r"^(?!head\.)", "backbone."),
        ),
    ),
)

# Before a batch norm the official code has convolutions with a bias where mmcv's ConvModule has none, which is the same
# as zeros.
OPTIONAL_BIAS = re.compile(
    r"head\.(regions\.)?(conv_layers\.0|bottleneck\.0|downsamp_modules\.\d\.0|final_layer\.0)\.bias$"
)

# What wraps a module, or a part of one, puts itself into keys: DataParallel and averaged models, torch.compile, FSDP,
# activation checkpointing. No network of this package has parts of these names.
WRAPPERS = re.compile(r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
