"""Top-down heatmap networks: boxes in, keypoints out, for people, hands, animals and faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.base import Outputs, Task
from edgehr.tasks.difference import OutputDifference, output_difference
from edgehr.tasks.image.boxes import Windows, as_boxes
from edgehr.tasks.image.crops import cut_out
from edgehr.tasks.image.reading import as_bgr
from edgehr.tasks.pose.heatmaps import average_flipped, decode
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import TopDownSpec

R = TypeVar("R", bound=Poses)

SCORE_THRESHOLD = 0.2  # of keypoints that count where two models are compared


@dataclass(frozen=True)
class TopDownContext:
    """Tells where a batch of crops came from.

    Attributes:
        boxes: (N, 4) xyxy, image pixels.
        windows: The padded windows that were cut out.
    """

    boxes: NDArray[np.float32]
    windows: Windows


@dataclass(frozen=True, kw_only=True)
class KeypointDifference(OutputDifference):
    """Differences between the heatmaps of two models, and between the keypoints decoded from them.

    Attributes:
        keypoints_largest: Largest distance between keypoints that the first model scores above 0.2, heatmap pixels.
        keypoints_mean: Mean of those distances; NaN where there is no such keypoint.
        keypoints: How many those are.
    """

    keypoints_largest: float
    keypoints_mean: float
    keypoints: int

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Give headers and rows to print."""
        distances = (f"{self.keypoints_mean:.3f}", f"{self.keypoints_largest:.3f}", self.keypoints)
        _, rows = super().table()
        headers = ["", "HEATMAPS (std of A)", "KEYPOINTS (heatmap pixels)"]
        return headers, [[*row, distance] for row, distance in zip(rows, distances, strict=True)]

    def __str__(self) -> str:
        moved = (
            f"{self.keypoints} keypoints move {self.keypoints_mean:.3f} heatmap pixels on average, "
            f"{self.keypoints_largest:.3f} at most"
            if self.keypoints
            else "no keypoint is seen"
        )
        return f"{super().__str__()}; {moved}"


class TopDownTask(Task, Generic[R]):
    """Pre- and post-processing of a top-down heatmap network, whatever its keypoints are on.

    A subclass names its `spec_type` and its `result_type`.

    Args:
        card: A card of the subclass's task.

    Attributes:
        result_type: The class of its results.
    """

    takes_boxes = True
    result_type: ClassVar[type[Poses]]

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.spec = card.spec_as(TopDownSpec)
        spec = card.input
        self._size = (spec.width, spec.height)
        if self.spec.decoding.warp == "hrnet_face" and spec.width != spec.height:
            raise EdgehrError(
                f"{card.name}: the warp hrnet_face goes with square inputs, not {spec.width}x{spec.height}"
            )
        self._scale, self._bias = self._scale_and_bias()

    def preprocess(
        self, image: NDArray[Any], boxes: ArrayLike | None = None
    ) -> tuple[NDArray[np.float32], TopDownContext]:
        """Cut out and normalize one crop for each box.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).
            boxes: (N, 4) xyxy in image pixels; they may reach over the image. None for one of the whole image.

        Returns:
            The batch (N, 3, height, width) float32, channels last where the card says so, and the context that
            `postprocess` takes.

        Raises:
            TensorError: Image or boxes have another form.
        """
        image = as_bgr(image)
        boxes = as_boxes([0, 0, image.shape[1], image.shape[0]] if boxes is None else boxes)
        width, height = self._size
        windows = Windows.from_boxes(boxes, width / height, self.spec.padding)
        shape = (height, width, 3) if self._channels_last else (3, height, width)
        batch = np.empty((len(boxes), *shape), np.float32)
        for crop, planes in zip(batch, cut_out(image, windows, self._size, self.spec.decoding.warp), strict=True):
            colors = planes[::-1] if self.card.input.color == "rgb" else planes
            np.multiply(colors.transpose(1, 2, 0) if self._channels_last else colors, self._scale, out=crop)
            crop -= self._bias
        return batch, TopDownContext(boxes, windows)

    def postprocess(self, outputs: Outputs, context: TopDownContext) -> R:
        """Decode heatmaps into keypoints in image pixels.

        Args:
            outputs: What the network returned: `heatmaps` (N, K, H, W), channels last where the card says so.
            context: What `preprocess` returned with the batch.

        Raises:
            TensorError: The heatmaps do not fit the boxes or the card.
        """
        raw = self._output(outputs)
        heatmaps = self._channels_first(raw)
        expected = (len(context.boxes), len(self.spec.keypoints.names))
        if heatmaps.shape[:2] != expected:
            raise TensorError(
                f"{self.card.outputs[0].name} must hold {expected[0]} items of {expected[1]} maps "
                f"({self.card.layout}), got {raw.shape}: do the card's {self.spec.points} fit the model?"
            )
        if len(heatmaps):
            keypoints, scores = decode(heatmaps, self.spec.decoding)
            grid = (heatmaps.shape[3], heatmaps.shape[2])
            keypoints = context.windows.to_image(keypoints, grid, self.spec.decoding.warp)
        else:
            keypoints, scores = np.zeros((0, expected[1], 2), np.float32), np.zeros(expected, np.float32)
        result: Any = self.result_type(context.boxes, keypoints, scores, keypoint_set=self.spec.keypoints)
        return cast("R", result)

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of the heatmaps of one crop, in the card's layout."""
        width, height = self._size
        maps = (self.spec.num_outputs, height // 4, width // 4)
        return {self.card.outputs[0].name: (*maps[1:], maps[0]) if self._channels_last else maps}

    @property
    def setting(self) -> dict[str, str]:
        """Name how heatmaps are decoded."""
        return {"decoding": f"{self.spec.decoding.method}, warp {self.spec.decoding.warp}"}

    def compare(self, outputs: Outputs, others: Outputs) -> KeypointDifference:
        """Measure how far heatmaps and the keypoints decoded from them are apart; see `Task.compare`."""
        difference = output_difference(outputs, others)
        one, two = (self._channels_first(self._output(each)).astype(np.float32) for each in (outputs, others))
        (points, scores), (other_points, _) = (decode(maps, self.spec.decoding) for maps in (one, two))
        moved = np.linalg.norm(points - other_points, axis=-1)[scores > SCORE_THRESHOLD]
        return KeypointDifference(
            **difference,
            keypoints_largest=float(moved.max(initial=0)),
            keypoints_mean=float(moved.mean()) if len(moved) else float("nan"),
            keypoints=len(moved),
        )

    def average_flipped(self, outputs: Outputs, flipped: Outputs) -> dict[str, NDArray[Any]]:
        """Average the heatmaps of a batch with those of its mirror image."""
        one, other = (self._channels_first(self._output(each)) for each in (outputs, flipped))
        merged = average_flipped(one, other, self.spec.keypoints.flip_indices, self.spec.decoding.shift_flipped)
        return {self.card.outputs[0].name: merged.transpose(0, 2, 3, 1) if self._channels_last else merged}

    def _channels_first(self, maps: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(maps.transpose(0, 3, 1, 2)) if self._channels_last and maps.ndim == 4 else maps
