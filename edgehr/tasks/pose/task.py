"""Top-down pose estimation: boxes of people in, keypoints out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.image.boxes import Windows, as_boxes
from edgehr.tasks.image.crops import cut_out
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.heatmaps import average_flipped, decode
from edgehr.tasks.pose.poses import Poses


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
        self._channels_last = card.layout == "nhwc"
        shape = (1, 1, 3) if self._channels_last else (3, 1, 1)
        mean, std = (np.array(values, np.float32).reshape(shape) for values in (spec.mean, spec.std))
        self._scale, self._bias = np.reciprocal(std), mean / std

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike) -> tuple[NDArray[np.float32], PoseContext]:
        """Cut out and normalize one crop for each box.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).
            boxes: (N, 4) xyxy in image pixels; they may reach over the image.

        Returns:
            The batch (N, 3, height, width) float32, channels last where the card says so, and the context that
            `postprocess` takes.

        Raises:
            TensorError: Image or boxes have another form.
        """
        image, boxes = as_bgr(image), as_boxes(boxes)
        width, height = self._size
        windows = Windows.from_boxes(boxes, width / height)
        shape = (height, width, 3) if self._channels_last else (3, height, width)
        batch = np.empty((len(boxes), *shape), np.float32)
        for crop, planes in zip(batch, cut_out(image, windows, self._size, self.card.decoding.warp), strict=True):
            colors = planes[::-1] if self.card.input.color == "rgb" else planes
            np.multiply(colors.transpose(1, 2, 0) if self._channels_last else colors, self._scale, out=crop)
            crop -= self._bias
        return batch, PoseContext(boxes, windows)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], context: PoseContext) -> Poses:
        """Decode heatmaps into keypoints in image pixels.

        Args:
            outputs: What the network returned: `heatmaps` (N, K, H, W), channels last where the card says so.
            context: What `preprocess` returned with the batch.

        Raises:
            TensorError: The heatmaps do not fit the boxes or the card.
        """
        name = self.card.outputs[0].name
        if name not in outputs:
            raise TensorError(f"{self.card.name} returns {name!r}, got {', '.join(map(repr, outputs)) or 'nothing'}")
        heatmaps = self._channels_first(outputs[name])
        expected = (len(context.boxes), len(self.card.keypoints.names))
        if heatmaps.shape[:2] != expected:
            raise TensorError(
                f"{name} must hold {expected[0]} items of {expected[1]} maps ({self.card.layout}), "
                f"got {outputs[name].shape}"
            )
        if not len(heatmaps):
            return Poses(context.boxes, np.zeros((0, expected[1], 2), np.float32), np.zeros(expected, np.float32))
        keypoints, scores = decode(heatmaps, self.card.decoding)
        grid = (heatmaps.shape[3], heatmaps.shape[2])
        return Poses(context.boxes, context.windows.to_image(keypoints, grid, self.card.decoding.warp), scores)

    def mirror(self, batch: NDArray[Any]) -> NDArray[Any]:
        """A batch of crops with left and right exchanged."""
        return np.ascontiguousarray(batch[:, :, ::-1] if self._channels_last else batch[..., ::-1])

    def average_flipped(self, outputs: Mapping[str, NDArray[Any]], flipped: Mapping[str, NDArray[Any]]) -> Any:
        """Merge the outputs for a batch with those for its mirror image, by name."""
        name = self.card.outputs[0].name
        one, other = self._channels_first(outputs[name]), self._channels_first(flipped[name])
        merged = average_flipped(one, other, self.card.keypoints.flip_indices, self.card.decoding.shift_flipped)
        return {name: merged.transpose(0, 2, 3, 1) if self._channels_last else merged}

    def _channels_first(self, maps: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(maps.transpose(0, 3, 1, 2)) if self._channels_last and maps.ndim == 4 else maps


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
