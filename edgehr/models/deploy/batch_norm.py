"""Fold batch norm into the convolutions before it, which halves what torch's exporter has to rewrite."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norm(network: Module) -> Module:
    """Copy a network in which each convolution does the work of the batch norm after it.

    A norm belongs to the convolution that stands directly before it among the parts of their module, as everywhere in
    `edgehr.models`. Any other norm stays.

    Args:
        network: In inference mode; it stays as it is.
    """
    folded = copy.deepcopy(network)
    for module in list(folded.modules()):
        for (name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return folded
