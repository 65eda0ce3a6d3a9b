"""Error of each layer against the float network: where quantization noise comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.runtimes.coverage import Coverage
from edgehr.runtimes.formats import format_of

# Of a layer without any error: rounding of float32 alone gives less.
MAX_DB = 150.0


@dataclass(frozen=True)
class LayerError:
    """The error of one layer that multiplies and adds.

    Attributes:
        name: Of the layer, the same in both graphs.
        operator: Its type.
        macs: Its multiply-adds.
        int8: Whether it computes in INT8.
        sqnr_db: Signal-to-quantization-noise ratio of what it returns, before the next quantization: the mean square of
            the float network's values over that of the difference, in decibels, at most 150. It includes the noise
            that came in with the layer's input, so the layers where it drops are those to look at.
    """

    name: str
    operator: str
    macs: int
    int8: bool
    sqnr_db: float


def layer_errors(
    reference: tuple[Path, Coverage],
    other: tuple[Path, Coverage],
    inputs: Iterable[NDArray[np.float32]],
    progress: Callable[[], None] | None = None,
) -> list[LayerError]:
    """Compare the layers that two artifacts of one kind have by the same name.

    Args:
        reference: The float artifact, and its coverage.
        other: The quantized one.
        inputs: In the layout of both, (3, H, W) or (H, W, 3) float32 each.
        progress: Called after each input.

    Returns:
        In the order of the other's layers; without those whose outputs have other shapes, so nothing where the
        artifacts' layouts differ.

    Raises:
        EdgehrError: One of them does not show its layers.
    """
    shared = {node.name for node in reference[1].layers} & {node.name for node in other[1].layers}
    layers = [node for node in other[1].layers if node.name in shared]
    names = [node.name for node in layers]
    probes = [format_of(path).open_probe(path, names) for path in (reference[0], other[0])]
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    alike = set(names)
    for each in inputs:
        true, found = (probe(each) for probe in probes)
        for name in list(alike):
            if name not in true or name not in found or true[name].shape != found[name].shape:
                alike.discard(name)
                continue
            signal[name] += _power(true[name])
            noise[name] += _power(found[name].astype(np.float64) - true[name])
        if progress:
            progress()
    return [
        LayerError(node.name, node.operator, node.macs, node.int8, _decibels(signal[node.name], noise[node.name]))
        for node in layers
        if node.name in alike
    ]


def _power(array: NDArray[Any]) -> float:
    values = array.astype(np.float64).ravel()
    return float(values @ values)


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return MAX_DB
    return float(np.clip(10 * np.log10(max(signal, np.finfo(float).tiny) / noise), -MAX_DB, MAX_DB))
