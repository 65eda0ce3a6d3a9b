"""Quantizers with a zero of their own: tensors that reach further to one side lose no steps on the other.

What only sigmoids read is compared behind them: they tell values far from zero hardly apart, which need no steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.ranges import BINS, CANDIDATES, SMALLEST

View = Callable[[NDArray[np.float64]], NDArray[np.float64]]
ROUNDS = 2  # of choosing one end, then the other


def measure_grids(network: Network, crops: NDArray[np.float32]) -> tuple[dict[int, float], dict[int, int]]:
    """Step and zero of each group of tensors: those of least mean square error, from histograms over all crops.

    The error is that of the tensors, or of the sigmoids that alone read them.

    Args:
        network: Without steps; what has dynamic ranges is rounded to them already.
        crops: (N, 3, H, W).

    Returns:
        Steps, and the steps that stand for zero, by number of the group.
    """
    groups = network.placement.groups
    ends = {group: (0.0, SMALLEST) for group in groups.values()}

    def reach(name: str, value: Tensor) -> None:
        if name in groups:
            low, high = ends[groups[name]]
            ends[groups[name]] = min(low, float(value.min())), max(high, float(value.max()))

    network.run(crops, reach)
    counts = {group: np.zeros(BINS) for group in ends}

    def count(name: str, value: Tensor) -> None:
        if name in groups:
            counts[groups[name]] += value.histc(BINS, *ends[groups[name]]).double().numpy()

    network.run(crops, count)
    gates = _gate_groups(network)
    steps, zeros = {}, {}
    for group, (low, high) in ends.items():
        least, largest = network.placement.bounds_of(group)
        view = _sigmoid if group in gates else np.asarray
        steps[group], place = _grid(counts[group], low, high, largest - least, view)
        zeros[group] = least + place
    return steps, zeros


def _gate_groups(network: Network) -> set[int]:
    """Groups of tensors that sigmoids read and nobody else."""
    others = {
        group
        for name, group in network.placement.groups.items()
        if {reader.kind for reader in network.graph.readers(name)} != {"Sigmoid"}
    }
    return set(network.placement.groups.values()) - others


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))


def _grid(counts: NDArray[np.float64], low: float, high: float, levels: int, view: View) -> tuple[float, int]:
    """Size of a step and which of the steps, from 0, is zero, for values that were counted between two ends."""
    values = low + (np.arange(BINS) + 0.5) / BINS * (high - low)
    seen = counts > 0
    values, counts = values[seen], counts[seen]
    below = above = 1.0
    for _ in range(ROUNDS):
        above = _best([(below, fraction) for fraction in CANDIDATES], values, counts, low, high, levels, view)[1]
        if low < 0:
            below = _best([(fraction, above) for fraction in CANDIDATES], values, counts, low, high, levels, view)[0]
    return _between(below * low, above * high, levels)


def _between(low: float, high: float, levels: int) -> tuple[float, int]:
    step = max((high - low) / levels, SMALLEST / levels)
    step = float(np.float32(step))  # as files hold it
    return step, round(-low / step)


def _best(
    candidates: list[tuple[float, float]],
    values: NDArray[np.float64],
    counts: NDArray[np.float64],
    low: float,
    high: float,
    levels: int,
    view: View,
) -> tuple[float, float]:
    errors = []
    for below, above in candidates:
        step, zero = _between(below * low, above * high, levels)
        rounded = (np.clip(np.round(values / step) + zero, 0, levels) - zero) * step
        errors.append(float(((view(rounded) - view(values)) ** 2 * counts).sum()))
    return candidates[int(np.argmin(errors))]
