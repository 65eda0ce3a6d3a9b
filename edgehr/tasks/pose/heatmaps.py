"""From heatmaps to keypoints, for whole batches at once.

- ``msra``: the peak, moved a quarter pixel towards the higher neighbor on each axis (SimpleBaseline, ECCV 2018).
- ``dark``: a Newton step on the logarithm of the smoothed map (Zhang et al.: Distribution-Aware Coordinate
  Representation, CVPR 2020), with second derivatives over two pixels.
- ``udp``: the same step with second derivatives over one pixel (Huang et al., CVPR 2020).
- ``hrnet_face``: the quarter pixel, then half a pixel to the middle of the heatmap pixel, which the crops of
  HRNet-Facial-Landmark-Detection ask for.

Results agree with mmpose 1.x, and with that repository. Where a map has no positive value, the keypoint is (-1, -1) and
the score its maximum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import TensorError
from edgehr.opencv import cv2
from edgehr.tasks.pose.spec import Decoding

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

FAR = 3.0  # pixels; a step beyond comes from a nearly singular Hessian, whose rounding it multiplies


def decode(heatmaps: NDArray[Any], decoding: Decoding) -> tuple[Floats, Floats]:
    """Find one keypoint in each heatmap.

    Args:
        heatmaps: (N, K, H, W) float.
        decoding: The method and its blur.

    Returns:
        (N, K, 2) float32 x, y in heatmap pixels, (N, K) float32 scores.

    Raises:
        TensorError: Not four dimensions, or maps smaller than 3x3.
    """
    if heatmaps.ndim != 4 or min(heatmaps.shape[2:]) < 3:
        raise TensorError(f"heatmaps must be (N, K, H, W) with H and W at least 3, got {heatmaps.shape}")
    people, joints, height, width = heatmaps.shape
    maps = np.ascontiguousarray(heatmaps, np.float32).reshape(-1, height, width)
    flat = maps.reshape(len(maps), height * width)
    index = flat.argmax(axis=1)
    scores = flat[np.arange(len(flat)), index]
    y, x = np.divmod(index, width)
    keypoints = np.stack([x, y], axis=1).astype(np.float32)
    found = np.flatnonzero(scores > 0)
    keypoints[scores <= 0] = -1
    if len(found):
        keypoints[found] += _REFINEMENTS[decoding.method](maps, found, x[found], y[found], decoding.blur_kernel)
    return keypoints.reshape(people, joints, 2), scores.reshape(people, joints)


def average_flipped(
    heatmaps: NDArray[Any], flipped: NDArray[Any], flip_indices: Sequence[int], shift: bool
) -> NDArray[Any]:
    """Average heatmaps with those of the mirrored image.

    Args:
        heatmaps: (N, K, H, W) of the image.
        flipped: (N, K, H, W) of the mirrored image.
        flip_indices: For each keypoint, the one that takes its place in the mirror.
        shift: Move the mirrored-back maps one pixel right first. The ``affine`` warp maps pixel edges, which leaves
            them off by about one; with the ``udp`` warp nothing is to be moved.
    """
    back = flipped[:, list(flip_indices), :, ::-1].copy()
    if shift:
        back[..., 1:] = back[..., :-1].copy()
    result: NDArray[Any] = (heatmaps + back) / 2
    return result


def _quarter_offset(maps: Floats, found: Ints, x: Ints, y: Ints, _: int) -> Floats:
    _, height, width = maps.shape
    # Peaks on the first two or the last columns (rows) stay where they are, as in mmpose.
    inner_x, inner_y = (x > 1) & (x < width - 1) & (y > 0), (y > 1) & (y < height - 1) & (x > 0)
    steps: Floats = _quarter_steps(maps, found, x, y) * np.stack([inner_x, inner_y], axis=1)
    return steps


def _hrnet_face_offset(maps: Floats, found: Ints, x: Ints, y: Ints, _: int) -> Floats:
    _, height, width = maps.shape
    inner = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    steps: Floats = _quarter_steps(maps, found, x, y) * inner[:, None] + np.float32(0.5)
    return steps


def _quarter_steps(maps: Floats, found: Ints, x: Ints, y: Ints) -> Floats:
    """Step a quarter pixel towards the higher neighbor on each axis, (M, 2)."""
    _, height, width = maps.shape
    right, left = np.minimum(x + 1, width - 1), np.maximum(x - 1, 0)
    below, above = np.minimum(y + 1, height - 1), np.maximum(y - 1, 0)
    dx = np.sign(maps[found, y, right] - maps[found, y, left])
    dy = np.sign(maps[found, below, x] - maps[found, above, x])
    return np.stack([dx, dy], axis=1) * np.float32(0.25)


def _dark_offset(maps: Floats, found: Ints, x: Ints, y: Ints, kernel: int) -> Floats:
    _, height, width = maps.shape
    offsets = np.zeros((len(found), 2), np.float32)
    inner = np.flatnonzero((x > 1) & (x < width - 2) & (y > 1) & (y < height - 2))
    offsets[inner] = _newton_offset(_DARK, maps, found[inner], x[inner], y[inner], kernel)
    return offsets


def _udp_offset(maps: Floats, found: Ints, x: Ints, y: Ints, kernel: int) -> Floats:
    return _newton_offset(_UDP, maps, found, x, y, kernel)


def _dark_step(p: Floats) -> Floats:
    """Newton steps from logarithms (M, 5, 5) around the peaks."""
    dx, dy = (p[:, 2, 3] - p[:, 2, 1]) / 2, (p[:, 3, 2] - p[:, 1, 2]) / 2
    dxx = (p[:, 2, 4] - 2 * p[:, 2, 2] + p[:, 2, 0]) / 4
    dyy = (p[:, 4, 2] - 2 * p[:, 2, 2] + p[:, 0, 2]) / 4
    dxy = (p[:, 3, 3] - p[:, 1, 3] - p[:, 3, 1] + p[:, 1, 1]) / 4
    return _solve(dx, dy, dxx, dyy, dxy)


def _udp_step(p: Floats) -> Floats:
    """Newton steps from logarithms (M, 3, 3) around the peaks."""
    left, here, right = p[:, 1, 0], p[:, 1, 1], p[:, 1, 2]
    above, below = p[:, 0, 1], p[:, 2, 1]
    dx, dy = (right - left) / 2, (below - above) / 2
    dxx, dyy = right - 2 * here + left, below - 2 * here + above
    dxy = (p[:, 2, 2] - right - below + here + here - left - above + p[:, 0, 0]) / 2
    eps = float(np.finfo(np.float32).eps)  # the reference regularizes the Hessian's diagonal with it
    return _solve(dx, dy, dxx.astype(np.float64) + eps, dyy.astype(np.float64) + eps, dxy)


def _solve(dx: NDArray[Any], dy: NDArray[Any], dxx: NDArray[Any], dyy: NDArray[Any], dxy: NDArray[Any]) -> Floats:
    """Return minus the inverse Hessian times the gradient; where the Hessian is singular, do not move."""
    dxx, dyy, dxy = (value.astype(np.float64) for value in (dxx, dyy, dxy))
    determinant = dxx * dyy - dxy * dxy
    safe = np.where(determinant == 0, 1, determinant)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1) / safe[:, None]
    step[(determinant == 0) | ~np.isfinite(step).all(axis=1)] = 0
    return step.astype(np.float32)


class _Newton(NamedTuple):
    """A refinement: its radius around the peak, where it clips the rescaled map, and its step."""

    radius: int
    floor: float
    ceiling: float
    step: Callable[[Floats], Floats]


_DARK = _Newton(2, 1e-10, np.inf, _dark_step)
_UDP = _Newton(1, 1e-3, 50.0, _udp_step)


def _newton_offset(method: _Newton, maps: Floats, found: Ints, x: Ints, y: Ints, kernel: int) -> Floats:
    """Take one Newton step on the logarithms of the smoothed maps, (M, 2) pixels.

    The reference smooths each whole map, rescales it to its old maximum, clips and takes the logarithm. Rescaling only
    adds a constant there, which no derivative sees, so it is enough to smooth the few pixels around the peak. The
    factor is worked out only where it shows: where clipping can bite, and where the map is so unlike a peak that the
    step leaves the neighborhood and its rounding with it.
    """
    patches = _smoothed_patches(maps, found, x, y, kernel, method.radius)
    peaks = maps[found, y, x]
    rescaled = (patches.min(axis=(1, 2)) <= method.floor) | (peaks >= method.ceiling)
    steps = np.zeros((len(found), 2), np.float32)
    steps[~rescaled] = method.step(np.log(patches[~rescaled]))
    rescaled |= np.abs(steps).max(axis=1) > FAR
    if rescaled.any():
        smoothed = _rescaled_maps(maps[found[rescaled]], kernel)
        rows, columns = _patch_indices(x[rescaled], y[rescaled], maps.shape[2], maps.shape[1], method.radius)
        exact = smoothed[np.arange(len(smoothed))[:, None, None], rows, columns]
        steps[rescaled] = method.step(np.log(np.clip(exact, method.floor, method.ceiling), dtype=np.float32))
    return steps


def _smoothed_patches(maps: Floats, found: Ints, x: Ints, y: Ints, kernel: int, radius: int) -> Floats:
    """Smooth the maps around each peak, (M, 2 * radius + 1, 2 * radius + 1)."""
    border = radius + kernel // 2
    taps = np.zeros((2 * radius + 1, 2 * border + 1))
    for row in range(len(taps)):
        taps[row, row : row + kernel] = cv2.getGaussianKernel(kernel, 0)[:, 0]
    patches = (taps @ _windows_around(maps, found, x, y, border) @ taps.T).astype(np.float32)
    over = np.flatnonzero((x < radius) | (y < radius) | (x >= maps.shape[2] - radius) | (y >= maps.shape[1] - radius))
    if len(over):
        rows, columns = _patch_indices(x[over], y[over], maps.shape[2], maps.shape[1], radius)
        inside = rows - y[over, None, None] + radius, columns - x[over, None, None] + radius
        patches[over] = patches[(over[:, None, None], *inside)]
    return patches


def _windows_around(maps: Floats, found: Ints, x: Ints, y: Ints, border: int) -> Floats:
    """Cut squares of side 2 * border + 1 around each peak, (M, side, side), with zeros outside the map."""
    _, height, width = maps.shape
    side = 2 * border + 1
    windows = np.empty((len(found), side, side), np.float32)
    inside = (x >= border) & (x < width - border) & (y >= border) & (y < height - border)
    inner, outer = np.flatnonzero(inside), np.flatnonzero(~inside)
    if len(inner):
        view = np.lib.stride_tricks.sliding_window_view(maps, (side, side), axis=(1, 2))
        windows[inner] = view[found[inner], y[inner] - border, x[inner] - border]
    if len(outer):
        rows, columns = _patch_indices(x[outer], y[outer], width, height, border)
        offsets = np.arange(-border, border + 1)
        in_map = (rows == (y[outer, None] + offsets)[:, :, None]) & (columns == (x[outer, None] + offsets)[:, None, :])
        windows[outer] = maps[found[outer, None, None], rows, columns] * in_map
    return windows


def _patch_indices(x: Ints, y: Ints, width: int, height: int, radius: int) -> tuple[Ints, Ints]:
    """Index rows (M, side, 1), columns (M, 1, side) around each peak; over the edge, it repeats (as in ``udp``)."""
    offsets = np.arange(-radius, radius + 1)
    rows, columns = np.clip(y[:, None] + offsets, 0, height - 1), np.clip(x[:, None] + offsets, 0, width - 1)
    return rows[:, :, None], columns[:, None, :]


def _rescaled_maps(maps: Floats, kernel: int) -> Floats:
    """Smooth whole maps and rescale each to its old maximum, as the reference does."""
    count, height, width = maps.shape
    # One tall image; the maps stand apart by more than the kernel reaches.
    tall = np.zeros((count, height + kernel // 2, width), np.float32)
    tall[:, :height] = maps
    smoothed = cv2.GaussianBlur(tall.reshape(-1, width), (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT)
    smoothed = smoothed.reshape(tall.shape)[:, :height]
    maxima = smoothed.max(axis=(1, 2))
    factors: Floats = maps.max(axis=(1, 2)) / np.where(maxima > 0, maxima, 1)
    result: Floats = smoothed * factors[:, None, None]
    return result


_REFINEMENTS = {"msra": _quarter_offset, "dark": _dark_offset, "udp": _udp_offset, "hrnet_face": _hrnet_face_offset}
