"""Dynamic ranges: what a convolution reads is rounded to the range that it has just then.

TFLite's kernels for float data and INT8 weights look at the data, round them to 8 bits, multiply integers and return
float, so that nothing is clipped and results are not rounded. XNNPACK, which LiteRT runs on CPUs, does so for each
position of a 1x1 convolution by itself: steps are small where little happens in a picture.
"""

from __future__ import annotations

from torch import Tensor

from edgehr.calib.quantizer.graph import Graph, Operator
from edgehr.calib.quantizer.placement import SIGNED

LEVELS = SIGNED[1] - SIGNED[0]
PIXEL, IMAGE = (1,), (1, 2, 3)  # dimensions of (N, C, H, W) that share a range
SMALLEST = 1e-30  # step


def shared_range(graph: Graph, convolution: Operator) -> tuple[int, ...]:
    """`PIXEL` for a 1x1 convolution without strides, which is a product of matrices; `IMAGE` for others."""
    alone = graph.weight(convolution).shape[2:] == (1, 1)
    return PIXEL if alone and convolution.attributes.get("strides", [1, 1]) == [1, 1] else IMAGE


def round_to_range(value: Tensor, shared: tuple[int, ...]) -> Tensor:
    """A tensor as a kernel with dynamic ranges rounds it, to 256 steps from its least value to its largest, or zero.

    Args:
        value: (N, C, H, W).
        shared: `PIXEL` or `IMAGE`.
    """
    low = value.amin(shared, keepdim=True).clamp(max=0)
    high = value.amax(shared, keepdim=True).clamp(min=0)
    step = ((high - low) / LEVELS).clamp(min=SMALLEST)
    zero = (SIGNED[0] - low / step).round().clamp(*SIGNED)
    return (((value / step).round() + zero).clamp(*SIGNED) - zero) * step
