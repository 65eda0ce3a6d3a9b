"""The one-euro filter, on all keypoints of a person at once.

Casiez, Roussel, Vogel: 1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems,
CHI 2012. A low-pass filter whose cutoff rises with the speed: still points are held still, fast ones follow at once.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Hertz. The slowest cutoff takes the jitter of heatmap peaks off a person who stands still.
MIN_CUTOFF = 1.5
DERIVATIVE_CUTOFF = 1.0
# How much the cutoff rises, in hertz, for a speed of one person's size a second: pixels alone would make the filter
# stiffer for people far away.
BETA = 12.0


class OneEuroFilter:
    """Smooths the keypoints of one person.

    Args:
        min_cutoff: Cutoff of a point that does not move, hertz; lower is smoother and later.
        beta: Rise of the cutoff with the speed, hertz for one size a second; higher is faster and less smooth.
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA) -> None:
        self._min_cutoff, self._beta = min_cutoff, beta
        self._points: NDArray[np.float32] | None = None
        self._speed: NDArray[np.float32] | None = None
        self._time = 0.0

    def __call__(self, points: NDArray[np.float32], time_s: float, size: float) -> NDArray[np.float32]:
        """Filter the points of the next frame.

        Args:
            points: (K, 2) pixels.
            time_s: When the frame was taken; frames without a later time than the last pass unchanged.
            size: Of the person, pixels.

        Returns:
            (K, 2) pixels.
        """
        step = time_s - self._time
        if self._points is None or self._speed is None or step <= 0:
            self._points, self._speed, self._time = points, np.zeros_like(points), max(time_s, self._time)
            return points
        speed = (points - self._points) / np.float32(step * max(size, 1.0))
        self._speed = self._speed + _share(DERIVATIVE_CUTOFF, step) * (speed - self._speed)
        cutoff = self._min_cutoff + self._beta * np.linalg.norm(self._speed, axis=1, keepdims=True)
        self._points = (self._points + _share(cutoff, step) * (points - self._points)).astype(np.float32)
        self._time = time_s
        return self._points


def _share(cutoff: NDArray[np.float32] | float, step: float) -> NDArray[np.float32] | float:
    """Compute how much of a new value a first-order low-pass filter takes over after `step` seconds."""
    rate = 2 * math.pi * cutoff * step
    share: NDArray[np.float32] | float = rate / (rate + 1)
    return share
