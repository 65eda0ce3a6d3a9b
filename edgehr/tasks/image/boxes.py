"""Boxes, and the geometry between an image and the crop that a top-down network takes.

Conventions are mmpose's: the box is widened to the network's aspect ratio, then padded by 1.25. Several ways to lay the
window onto the crop exist, and a network must be fed the way it was trained:

- ``affine``: window edges to crop edges, as in the original SimpleBaseline and HRNet code.
- ``udp``: window corners to the centers of the corner pixels, size-1 units (Huang et al.: The Devil is in the Details,
  CVPR 2020).
- ``hrnet_face``: as ``affine``, at whole image pixels, in the crop (`edgehr.tasks.image.whole_pixels`) and in the
  result (HRNet-Facial-Landmark-Detection).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.errors import TensorError

Floats = NDArray[np.float32]


def as_boxes(boxes: ArrayLike) -> Floats:
    """Return (N, 4) float32 xyxy boxes; a single box may come as (4,).

    Raises:
        TensorError: Another shape, or boxes that are not finite or have no area.
    """
    array = np.asarray(boxes, np.float32)
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != 4:
        raise TensorError(f"boxes must be (N, 4) xyxy pixels, got {array.shape}")
    if not np.isfinite(array).all() or not (array[:, 2:] > array[:, :2]).all():
        raise TensorError("boxes must be finite xyxy pixels with x2 > x1 and y2 > y1")
    return array


@dataclass(frozen=True)
class Windows:
    """The parts of an image that go into the network, one a box.

    Attributes:
        center: (N, 2) x, y in image pixels.
        size: (N, 2) width, height in image pixels, at the network's aspect ratio, padded.
    """

    center: Floats
    size: Floats

    @classmethod
    def from_boxes(cls, boxes: Floats, aspect: float, padding: float = 1.25) -> Windows:
        """Pad (N, 4) xyxy boxes and widen them to `aspect` = width / height."""
        center = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
        width, height = ((boxes[:, 2:] - boxes[:, :2]) * np.float32(padding)).T
        size = np.stack([np.maximum(width, height * aspect), np.maximum(height, width / aspect)], axis=1)
        return cls(center, size.astype(np.float32))

    def matrices(self, width: int, height: int, warp: str) -> NDArray[np.float64]:
        """Return (N, 2, 3) affine maps from image pixels to the pixels of a width x height crop."""
        crop = np.array([width, height], np.float64)
        scale = (crop - 1 if warp == "udp" else crop) / self.size
        if warp == "affine":  # mmpose takes the horizontal scale for both axes; they differ by rounding only
            scale[:, 1] = scale[:, 0]
            shift = crop / 2 - self.center * scale
        else:
            shift = (crop - 1) / 2 - self.center * scale
        matrices = np.zeros((len(scale), 2, 3))
        matrices[:, 0, 0], matrices[:, 1, 1] = scale.T
        matrices[:, :, 2] = shift
        return matrices

    def to_image(self, keypoints: NDArray[Any], grid: tuple[int, int], warp: str) -> Floats:
        """Carry keypoints from heatmap pixels to image pixels.

        Args:
            keypoints: (N, K, 2) x, y in pixels of a heatmap.
            grid: The heatmap's width and height.
            warp: The warp that made the crop.

        Returns:
            (N, K, 2) float32 x, y in image pixels.
        """
        if warp == "hrnet_face":  # cut off to whole pixels, counted from 1
            corners, sizes = self.center.astype(np.float64) - self.size / 2.0, self.size.astype(np.float64)
            places = keypoints.astype(np.float64) / grid * sizes[:, None] + corners[:, None]
            return (np.trunc(places) + 1).astype(np.float32)
        corner = self.center - self.size * np.float32(0.5)
        return fraction_of_window(keypoints, grid, warp) * self.size[:, None] + corner[:, None]


def fraction_of_window(keypoints: NDArray[Any], grid: tuple[int, int], warp: str) -> Floats:
    """Heatmap pixels (..., 2) as fractions of the window: 0 at its left or upper edge, 1 at its right or lower one."""
    cells = np.asarray(grid, np.float32)
    result: Floats = (keypoints / (cells - 1 if warp == "udp" else cells)).astype(np.float32)
    return result


def overlaps(boxes: Floats, others: Floats) -> NDArray[np.float32]:
    """Compute the intersection over union of each pair: (N, 4) and (M, 4) xyxy -> (N, M), 0 to 1."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    union = areas(boxes)[:, None] + areas(others)[None] - shared
    result: NDArray[np.float32] = shared / np.maximum(union, np.float32(1e-9))
    return result


def areas(boxes: Floats) -> NDArray[np.float32]:
    """Compute areas: (N, 4) xyxy -> (N,) square pixels."""
    result: NDArray[np.float32] = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return result
