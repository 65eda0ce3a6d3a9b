"""Observers: they watch tensors on real images and choose scale and zero point of each quantizer.

A range is the one of least mean square error, from a histogram of the values over all images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edgehr.calib.quantizer.placement import INT8
from edgehr.calib.quantizer.simulation import QuantizationParameters, SimulatedNetwork

Range = tuple[float, float]
BINS = 4096
# Fractions of the range of all values that are tried.
CANDIDATES = np.linspace(0.05, 1, 96)
# Range of the first quantizer of split activations, in units of the largest magnitude seen: nothing is clipped.
SPLIT_HEADROOM = 8
MIN_RANGE = 1e-6  # a tensor may be zero throughout
ROUNDS = 2  # of choosing one end of an asymmetric range, then the other


def observe_symmetric(network: SimulatedNetwork, images: NDArray[np.float32]) -> dict[int, QuantizationParameters]:
    """Choose scales for zero points of 0.

    Args:
        network: In float.
        images: (N, 3, H, W).

    Returns:
        Parameters by quantizer; the first quantizers of split activations have a range far beyond all that was seen.
    """
    placement = network.placement
    tops = {key: max(-low, high) for key, (low, high) in _min_max(network, images).items()}
    scales = {key: SPLIT_HEADROOM * tops.pop(key) / INT8[1] for key in placement.split_quantizers.values()}
    counts = _histograms(network, images, {key: (0.0, top) for key, top in tops.items()}, magnitudes=True)
    values = (np.arange(BINS) + 0.5) / BINS
    for key, top in tops.items():
        levels, errors = placement.bounds(key)[1], []
        for fraction in CANDIDATES:
            scale = fraction / levels
            rounded = np.minimum(np.round(values / scale), levels) * scale
            errors.append(float(((rounded - values) ** 2 * counts[key]).sum()))
        scales[key] = top * float(CANDIDATES[int(np.argmin(errors))]) / levels
    return {key: QuantizationParameters(scale) for key, scale in scales.items()}


def observe_asymmetric(network: SimulatedNetwork, images: NDArray[np.float32]) -> dict[int, QuantizationParameters]:
    """Choose scales and zero points: tensors that go further to one side lose no levels on the other.

    The error is that of the tensors, or of the sigmoids that alone read them: these tell values far from zero hardly
    apart, which need no levels.

    Args:
        network: Without parameters; what has dynamic ranges is rounded to them already.
        images: (N, 3, H, W).

    Returns:
        Parameters by quantizer.
    """
    placement = network.placement
    ranges = _min_max(network, images)
    counts = _histograms(network, images, ranges, magnitudes=False)
    not_gates = {
        key
        for name, key in placement.quantizers.items()
        if {consumer.kind for consumer in network.graph.consumers(name)} != {"Sigmoid"}
    }
    found = {}
    for key, seen in ranges.items():
        least, largest = placement.bounds(key)
        view = np.asarray if key in not_gates else _sigmoid
        low, high = _best_range(counts[key], seen, largest - least, view)
        scale, zero_point = _scale_and_zero(low, high, largest - least)
        found[key] = QuantizationParameters(scale, least + zero_point)
    return found


def _min_max(network: SimulatedNetwork, images: NDArray[np.float32]) -> dict[int, Range]:
    """Return the range of all values, zero included, for each quantizer."""
    both = (network.placement.quantizers, network.placement.split_quantizers)
    ranges = {key: (0.0, MIN_RANGE) for quantizers in both for key in quantizers.values()}

    def extremes(name: str, value: Tensor) -> Range | None:
        return (float(value.min()), float(value.max())) if any(name in quantizers for quantizers in both) else None

    for name, seen in network.measure(images, extremes).items():
        for key in [quantizers[name] for quantizers in both if name in quantizers]:
            lows, highs = zip(ranges[key], *seen, strict=True)
            ranges[key] = min(lows), max(highs)
    return ranges


def _histograms(
    network: SimulatedNetwork, images: NDArray[np.float32], ranges: Mapping[int, Range], *, magnitudes: bool
) -> dict[int, NDArray[np.float64]]:
    """Count the values, or their magnitudes, of each quantizer's tensors in bins of its range."""
    quantizers, counts = network.placement.quantizers, {key: np.zeros(BINS) for key in ranges}

    def count(name: str, value: Tensor) -> NDArray[np.float32] | None:
        if name not in quantizers:
            return None
        seen = value.abs() if magnitudes else value
        counted: NDArray[np.float32] = seen.histc(BINS, *ranges[quantizers[name]]).numpy()
        return counted

    for name, histograms in network.measure(images, count).items():
        counts[quantizers[name]] += np.sum(histograms, 0, dtype=np.float64)
    return counts


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))


def _best_range(
    counts: NDArray[np.float64],
    seen: Range,
    levels: int,
    view: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Range:
    """Choose the range of least error, for values that were counted in bins of another one."""
    low, high = seen
    values = low + (np.arange(BINS) + 0.5) / BINS * (high - low)
    values, counts = values[counts > 0], counts[counts > 0]

    def best(candidates: list[Range]) -> Range:
        errors = []
        for below, above in candidates:
            scale, zero_point = _scale_and_zero(below, above, levels)
            rounded = (np.clip(np.round(values / scale) + zero_point, 0, levels) - zero_point) * scale
            errors.append(float(((view(rounded) - view(values)) ** 2 * counts).sum()))
        return candidates[int(np.argmin(errors))]

    chosen = seen
    for _ in range(ROUNDS):
        chosen = best([(chosen[0], fraction * high) for fraction in CANDIDATES])
        if low < 0:
            chosen = best([(fraction * low, chosen[1]) for fraction in CANDIDATES])
    return chosen


def _scale_and_zero(low: float, high: float, levels: int) -> tuple[float, int]:
    """Return scale and zero point, counted from 0, of a range."""
    scale = float(np.float32(max((high - low) / levels, MIN_RANGE / levels)))  # as files hold it
    return scale, round(-low / scale)
