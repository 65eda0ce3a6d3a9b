"""Object keypoint similarity, and the suppression of doubles by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Fewer sure keypoints than these do not tell two people apart.
MIN_SEEN = 4


def oks(
    keypoints: NDArray[np.float32],
    others: NDArray[np.float32],
    area: ArrayLike,
    sigmas: ArrayLike,
    counted: ArrayLike = True,
) -> NDArray[np.float64]:
    """Object keypoint similarity of COCO's keypoint evaluation.

    Args:
        keypoints: (..., K, 2) pixels.
        others: (..., K, 2) pixels, of a shape that broadcasts with that of `keypoints`.
        area: The objects' areas, square pixels: a number, or of a shape (...) that broadcasts likewise.
        sigmas: (K,) per-keypoint constants.
        counted: The keypoints that count, boolean, of a shape that broadcasts with (..., K), at least one of each
            object; by default all.

    Returns:
        (...) similarities, 0 to 1: means over the keypoints that count.
    """
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    x, y = np.moveaxis(others.astype(np.float64) - keypoints, -1, 0)
    exponents = (x * x + y * y) / (2 * variances * (np.asarray(area, np.float64)[..., None] + np.spacing(1)))
    similarities: NDArray[np.float64] = np.exp(-exponents).mean(axis=-1, where=np.asarray(counted, bool))
    return similarities


def oks_nms(
    keypoints: NDArray[np.float32],
    areas: NDArray[np.float32],
    scores: NDArray[np.float32],
    sigmas: ArrayLike,
    threshold: float = 0.9,
    seen: NDArray[np.bool_] | None = None,
) -> list[int]:
    """Drop poses that are nearly the same as a better one (the suppression of SimpleBaseline and mmpose).

    Args:
        keypoints: (N, K, 2) pixels.
        areas: (N,) of the windows that were cut out (mmpose takes these, padding included), square pixels.
        scores: (N,) of the poses.
        sigmas: (K,) per-keypoint constants.
        threshold: Similarity above which the lower-scored pose goes.
        seen: (N, K) the keypoints that are sure. Two poses are compared by those that are sure in both, as mmpose's
            `vis_thr` does, or by all where these are fewer than `MIN_SEEN`; None compares by all.

    Returns:
        Indices to keep, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        # mmpose takes the mean of the two areas
        counted: NDArray[np.bool_] | bool = True
        if seen is not None:
            both = seen[best] & seen[order]
            counted = both | (both.sum(axis=-1, keepdims=True) < MIN_SEEN)
        similar = oks(keypoints[best], keypoints[order], (areas[best] + areas[order]) / 2, sigmas, counted)
        order = order[similar <= threshold]
    return kept
