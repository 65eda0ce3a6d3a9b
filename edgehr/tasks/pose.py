"""Top-down pose estimation: boxes of people in, keypoints out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.boxes import Windows, as_boxes
from edgehr.tasks.heatmaps import average_flipped, decode
from edgehr.tasks.images import as_bgr
from edgehr.tasks.poses import Poses


class PoseTask:
    """Pre- and post-processing of a top-down heatmap network.

    Args:
        card: A card of task ``pose``.
    """

    def __init__(self, card: ModelCard) -> None:
        if card.task != "pose":
            raise EdgehrError(f"{card.name} is a model for {card.task}, not for pose")
        self.card = card
        spec = card.input
        self._size = (spec.width, spec.height)
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
        self._scale, self._bias = np.reciprocal(std), mean / std

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike) -> tuple[NDArray[np.float32], PoseContext]:
        """Cut out and normalise one crop for each box.

        Args:
            image: uint8 BGR (H, W, 3), greyscale (H, W) or BGRA (H, W, 4).
            boxes: (N, 4) xyxy in image pixels; they may reach over the image.

        Returns:
            The batch (N, 3, height, width) float32, and the context that `postprocess` takes.

        Raises:
            TensorError: Image or boxes have another form.
        """
        image, boxes = as_bgr(image), as_boxes(boxes)
        width, height = self._size
        windows = Windows.from_boxes(boxes, width / height)
        batch = np.empty((len(boxes), 3, height, width), np.float32)
        matrices = windows.matrices(width, height, self.card.decoding.warp)
        for crop, matrix in zip(batch, matrices, strict=True):
            pixels = cv2.warpAffine(image, matrix, self._size, flags=cv2.INTER_LINEAR)
            if self.card.input.color == "rgb":
                pixels = pixels[..., ::-1]
            np.multiply(pixels.transpose(2, 0, 1), self._scale, out=crop)
        batch -= self._bias
        return batch, PoseContext(boxes, windows)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], context: PoseContext) -> Poses:
        """Decode heatmaps into keypoints in image pixels.

        Args:
            outputs: What the network returned: `heatmaps` (N, K, H, W).
            context: What `preprocess` returned with the batch.

        Raises:
            TensorError: The heatmaps do not fit the boxes or the card.
        """
        name = self.card.outputs[0].name
        if name not in outputs:
            raise TensorError(f"{self.card.name} returns {name!r}, got {', '.join(map(repr, outputs)) or 'nothing'}")
        heatmaps = outputs[name]
        expected = (len(context.boxes), len(self.card.keypoints.names))
        if heatmaps.shape[:2] != expected:
            raise TensorError(f"{name} must be {(*expected, 'H', 'W')}, got {heatmaps.shape}")
        if not len(heatmaps):
            return Poses(context.boxes, np.zeros((0, expected[1], 2), np.float32), np.zeros(expected, np.float32))
        keypoints, scores = decode(heatmaps, self.card.decoding)
        grid = (heatmaps.shape[3], heatmaps.shape[2])
        return Poses(context.boxes, context.windows.to_image(keypoints, grid, self.card.decoding.warp), scores)

    def average_flipped(self, outputs: Mapping[str, NDArray[Any]], flipped: Mapping[str, NDArray[Any]]) -> Any:
        """Merge the outputs for a batch with those for its mirror image (`batch[..., ::-1]`), by name."""
        name = self.card.outputs[0].name
        indices = self.card.keypoints.flip_indices
        return {name: average_flipped(outputs[name], flipped[name], indices, self.card.decoding.shift_flipped)}


class PoseContext:
    """Where a batch of crops came from.

    Attributes:
        boxes: (N, 4) xyxy, image pixels.
        windows: The padded windows that were cut out.
    """

    __slots__ = ("boxes", "windows")

    def __init__(self, boxes: NDArray[np.float32], windows: Windows) -> None:
        self.boxes = boxes
        self.windows = windows
