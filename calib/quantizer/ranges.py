"""How far the quantizer of each group of tensors reaches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.network import Network
from edgehr.errors import EdgehrError

BINS = 4096
BOTH_ENDS = "mse-ends"  # see `edgehr.calib.quantizer.grids`
# Fractions of the largest magnitude that are tried as range where the one of least square error is wanted.
CANDIDATES = np.linspace(0.05, 1, 96)
# How far a quantizer reaches, in units of the largest magnitude seen, where a second one makes its steps fine.
BEYOND_SEEN = 8
SMALLEST = 1e-6  # of a range: a tensor may be zero throughout


def measure_steps(network: Network, crops: NDArray[np.float32], method: str) -> dict[int, float]:
    """Size of a quantization step for each group of tensors, from histograms of magnitudes over all crops.

    Args:
        network: In float.
        crops: (N, 3, H, W).
        method: ``max``; ``p99.99`` or another percentile of the magnitudes that are not zero, since those of ReLUs say
            nothing; or ``mse``, the range of least mean square error.

    Returns:
        Steps by number of the group; those of tensors that are rounded twice reach far beyond all that was seen.

    Raises:
        EdgehrError: There is no such method.
    """
    check_method(method)
    groups, twice, bounds = network.placement.groups, network.placement.twice, network.placement.bounds_of
    tops = dict.fromkeys(groups.values(), SMALLEST)
    widest = dict.fromkeys(twice.values(), SMALLEST)

    def reach(name: str, value: Tensor) -> None:
        for numbers, found in ((groups, tops), (twice, widest)):
            if name in numbers:
                found[numbers[name]] = max(found[numbers[name]], float(value.abs().max()))

    network.run(crops, reach)
    coarse = {group: BEYOND_SEEN * top / bounds(group)[1] for group, top in widest.items()}
    if method == "max":
        return coarse | {group: top / bounds(group)[1] for group, top in tops.items()}
    counts = {group: np.zeros(BINS) for group in tops}

    def count(name: str, value: Tensor) -> None:
        if name in groups:
            counts[groups[name]] += torch.histc(value.abs(), BINS, 0, tops[groups[name]]).double().numpy()

    network.run(crops, count)
    levels = {group: bounds(group)[1] for group in tops}
    return coarse | {
        group: top * _fraction(counts[group], method, levels[group]) / levels[group] for group, top in tops.items()
    }


def check_method(method: str) -> None:
    """Raise EdgehrError for a method that there is not."""
    if method in ("max", "mse"):
        return
    try:
        known = method.startswith("p") and 0 < float(method[1:]) <= 100
    except ValueError:
        known = False
    if not known:
        raise EdgehrError(f"unknown range method {method!r}: expected max, mse, or a percentile such as p99.99")


def _fraction(counts: NDArray[np.float64], method: str, levels: int) -> float:
    """The range as a fraction of the largest magnitude."""
    if method == "mse":
        values = (np.arange(BINS) + 0.5) / BINS
        errors = [_square_error(values, counts, fraction / levels, levels) for fraction in CANDIDATES]
        return float(CANDIDATES[int(np.argmin(errors))])
    moving = counts.copy()
    moving[0] = 0
    if not moving.sum():
        return 1.0
    shares = np.cumsum(moving) / moving.sum()
    return min(float(np.searchsorted(shares, float(method[1:]) / 100) + 1) / BINS, 1.0)


def _square_error(values: NDArray[np.float64], counts: NDArray[np.float64], step: float, levels: int) -> float:
    rounded = np.minimum(np.round(values / step), levels) * step
    return float(((rounded - values) ** 2 * counts).sum())
