"""Second-order statistics of a convolution's inputs and wanted outputs: what its least-squares fit needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import Operator, is_depthwise
from edgehr.calib.quantizer.graph.operators import padded
from edgehr.calib.quantizer.parallel import side_by_side

# Positions that a fit is made from: this many, and so many more for each input of an output. What more of them would
# change is far less than what rounding does.
POSITIONS, POSITIONS_OF_COLUMN = 32768, 64
# Multiply-adds of one layer's Gram matrix, a second or two of one core: fewer positions are drawn where there are more.
MAX_WORK = 1e11
GROUPS = 4  # that are multiplied at once


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


def measure_second_order(
    operator: Operator, weight: Tensor, inputs: Sequence[Tensor], targets: Sequence[Tensor]
) -> SecondOrderStatistics:
    """Measure the second-order statistics of a convolution, at positions that are drawn where there are many.

    Args:
        operator: The convolution.
        weight: Its filter.
        inputs: (n, in, H, W) of a few images each.
        targets: (n, out, h, w) of the same, the output that it should give.
    """
    groups, columns = len(weight) if is_depthwise(weight.numpy()) else 1, prod(weight.shape[1:])
    rows = len(weight) // groups
    size = targets[0].shape[2:]
    most = min(POSITIONS + POSITIONS_OF_COLUMN * columns, max(int(MAX_WORK / (groups * columns**2)), 8 * columns))
    count = min(max(most // sum(map(len, targets)), 1), size.numel())  # of an image
    draw = torch.Generator().manual_seed(0)  # the same positions in every run
    drawn = [torch.randperm(size.numel(), generator=draw)[:count] for _ in inputs]

    def rows_of(data: Tensor, target: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        patches = _patches(operator, weight, data, size, positions)
        wanted = _rows(target).index_select(1, positions)
        return patches.reshape(-1, groups, columns), wanted.reshape(-1, groups, rows)

    # Near their means, so that sums of squares in float32 lose nothing.
    shifts = [each.mean(0) for each in rows_of(inputs[0], targets[0], drawn[0])]

    def sums_of(few: tuple[Tensor, Tensor, Tensor]) -> tuple[int, Tensor, Tensor, Tensor, Tensor]:
        seen, wanted = (each - shift for each, shift in zip(rows_of(*few), shifts, strict=True))
        return len(seen), seen.sum(0), wanted.sum(0), _products(seen, seen), _products(wanted, seen)

    counts, *parts = zip(*side_by_side(sums_of, zip(inputs, targets, drawn, strict=True)), strict=True)
    input_offset, output_offset, hessian, cross = (sum(part.double() for part in each) / sum(counts) for each in parts)
    return SecondOrderStatistics(
        shifts[0] + input_offset,
        shifts[1] + output_offset,
        hessian - input_offset[:, :, None] * input_offset[:, None],
        cross - output_offset[:, :, None] * input_offset[:, None],
        sum(counts),
    )


def _products(rows: Tensor, columns: Tensor) -> Tensor:
    """Sum the outer products of rows (P, G, R) and columns (P, G, C) over positions, group by group: (G, R, C).

    A few groups are multiplied at once, and what is not of one group is thrown away: matrices of nine columns take
    three to ten times as long.
    """
    products = []
    for some, others in zip(torch.split(rows, GROUPS, 1), torch.split(columns, GROUPS, 1), strict=True):
        wide = some.flatten(1).T @ others.flatten(1)
        blocks = wide.reshape(*some.shape[1:], *others.shape[1:])
        products.append(blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1))
    return torch.cat(products)


def _patches(operator: Operator, weight: Tensor, data: Tensor, size: Sequence[int], drawn: Tensor) -> Tensor:
    """Gather the inputs that each output is a product with: (n, in, H, W) -> (n * positions, in * taps).

    Args:
        operator: The convolution.
        weight: Its filter.
        data: Its input.
        size: Height and width of its output.
        drawn: Positions in an output that are wanted, row by row.
    """
    (height, width), (down, right) = weight.shape[2:], operator.attributes.get("strides", [1, 1])
    data, (above, left) = padded(operator, data)
    if above or left:
        data = F.pad(data, (left, left, above, above))
    corners = drawn // size[1] * down * data.shape[3] + drawn % size[1] * right
    pixels = _rows(data)
    taps = [pixels.index_select(1, corners + i * data.shape[3] + j) for i in range(height) for j in range(width)]
    return (taps[0] if len(taps) == 1 else torch.stack(taps, 3)).flatten(0, 1).flatten(1)


def _rows(data: Tensor) -> Tensor:
    """Return a tensor (n, C, H, W) with its channels last, (n, H * W, C)."""
    return data.permute(0, 2, 3, 1).flatten(1, 2)
