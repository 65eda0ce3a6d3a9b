"""Second-order statistics of a convolution's inputs and wanted outputs: what its least-squares fit needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import Operator, is_depthwise
from edgehr.calib.quantizer.graph.operators import padded

# Multiply-adds of one layer's Gram matrix, about a second of one core: positions are drawn where there are more.
MAX_WORK = 1e11
CHUNK = 8  # images unfolded at a time: what bounds memory


@dataclass(frozen=True)
class SecondOrderStatistics:
    """Means and covariances over positions, in float64; G groups, 1 unless depthwise.

    Attributes:
        input_mean: (G, C) mean of each input of an output: C is channels of a group times height and width of the
            filter.
        output_mean: (G, R) mean of each output.
        hessian: (G, C, C) covariance of the inputs, their centered Gram matrix over the number of positions.
        cross: (G, R, C) covariance of outputs with inputs.
        positions: Number of positions.
    """

    input_mean: Tensor
    output_mean: Tensor
    hessian: Tensor
    cross: Tensor
    positions: int


def measure_second_order(operator: Operator, weight: Tensor, data: Tensor, wanted: Tensor) -> SecondOrderStatistics:
    """Measure the second-order statistics of a convolution.

    Products of a few images are summed in float32, and those of all in float64.

    Args:
        operator: The convolution.
        weight: Its filter.
        data: (N, in, H, W) its input.
        wanted: (N, out, h, w) the output that it should give.
    """
    groups, columns = len(weight) if is_depthwise(weight.numpy()) else 1, prod(weight.shape[1:])
    rows = len(weight) // groups
    total = wanted.shape[0] * wanted.shape[2] * wanted.shape[3]
    most = max(int(MAX_WORK / (groups * columns**2)), 8 * columns)
    draw = torch.Generator().manual_seed(0)  # the same positions in every run
    double = torch.float64
    inputs, outputs = torch.zeros(groups, columns, dtype=double), torch.zeros(groups, rows, dtype=double)
    gram = torch.zeros(groups, columns, columns, dtype=double)
    cross = torch.zeros(groups, rows, columns, dtype=double)
    positions = 0
    for start in range(0, len(data), CHUNK):
        patches = _patches(operator, weight, data[start : start + CHUNK], groups)
        targets = wanted[start : start + CHUNK].transpose(0, 1).reshape(groups, rows, -1)
        if total > most:
            count = patches.shape[2]
            drawn = torch.randperm(count, generator=draw)[: max(count * most // total, 1)]
            patches, targets = patches[:, :, drawn], targets[:, :, drawn]
        transposed = patches.transpose(1, 2)
        positions += patches.shape[2]
        inputs += patches.sum(2).double()
        outputs += targets.sum(2).double()
        gram += (patches @ transposed).double()
        cross += (targets @ transposed).double()
    inputs, outputs = inputs / positions, outputs / positions
    return SecondOrderStatistics(
        inputs,
        outputs,
        gram / positions - inputs[:, :, None] * inputs[:, None],
        cross / positions - outputs[:, :, None] * inputs[:, None],
        positions,
    )


def _patches(operator: Operator, weight: Tensor, data: Tensor, groups: int) -> Tensor:
    """Unfold the inputs that each output is a product with: (N, in, H, W) -> (G, C, N * h * w)."""
    size, strides = weight.shape[2:], operator.attributes.get("strides", [1, 1])
    data, padding = padded(operator, data)
    if tuple(size) == (1, 1) and list(strides) == [1, 1] and padding == (0, 0):
        columns = data.flatten(2)
    else:
        columns = F.unfold(data, size, padding=padding, stride=strides)
    split = columns.reshape(len(data), groups, -1, columns.shape[2])
    return split.permute(1, 2, 0, 3).reshape(groups, split.shape[2], -1)
