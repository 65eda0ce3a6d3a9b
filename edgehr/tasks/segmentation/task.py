"""Semantic segmentation: an image of any size in, the class of each pixel out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.notices import warn_once
from edgehr.opencv import cv2
from edgehr.runtimes.base import Runtime
from edgehr.tasks.base import Outputs, Task
from edgehr.tasks.difference import OutputDifference, output_difference
from edgehr.tasks.image.reading import Image, as_bgr
from edgehr.tasks.segmentation.segmentation import ClassMaps, Segmentation, label_type
from edgehr.tasks.segmentation.spec import LABELS, OUTPUTS, PROBABILITIES, SLIDE, SegmentationSpec
from edgehr.tasks.segmentation.windows import Windows

# Of windows that go into the network together: two of 1024x1024.
PIXELS_AT_ONCE = 1 << 21

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class SegmentationDifference(OutputDifference):
    """Differences between what two segmentation models return, and between the classes that follow.

    For models of which one returns classes only, the differences of outputs are those of 0 (the same class) and 1.

    Attributes:
        same: Share of the pixels to which both give the same class, 0 to 1.
        pixels: How many were compared.
    """

    same: float
    pixels: int

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Give headers and rows to print."""
        _, rows = super().table()
        other = (f"{1 - self.same:.2e}", "", self.pixels)
        columns = zip(rows, other, strict=True)
        return ["", "OUTPUT (std of A)", "PIXELS OF ANOTHER CLASS"], [[*row, value] for row, value in columns]

    def __str__(self) -> str:
        return f"{super().__str__()}; {100 * (1 - self.same):.3f} % of {self.pixels} pixels are of another class"


class SegmentationTask(Task):
    """Pre- and post-processing of a segmentation network.

    Args:
        card: A card of task ``segmentation``. What its output is named says what that is: ``logits`` or
            ``probabilities`` (N, C, h, w), or ``labels`` (N, h, w), numbers of classes.
        fit: How pictures go in, see `SegmentationSpec`; None does as the card says.
    """

    spec_type = SegmentationSpec
    evaluator = "edgehr.evaluation.segmentation:SegmentationEvaluator"
    predictor = "edgehr.live.predictors.segmenter:Segmenter"

    def __init__(self, card: ModelCard, fit: str | None = None) -> None:
        super().__init__(card)
        spec = card.spec_as(SegmentationSpec)
        self.spec = spec if fit is None else spec.with_fit(fit)
        self._kind = card.outputs[0].name
        if self._kind not in OUTPUTS:
            raise EdgehrError(
                f"{card.name}: the output of a segmentation model must be named {', '.join(OUTPUTS)}, by what it is; "
                f"got {self._kind!r}"
            )
        self._scale, self._bias = self._scale_and_bias()

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> tuple[Floats, Windows]:
        """Scale a picture, and cut it into windows where the model's input is smaller.

        Args:
            image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4).
            boxes: None: segmentation looks at the whole image.

        Returns:
            The windows (N, 3, height, width) float32, channels last where the card says so, and what `postprocess`
            takes with the outputs. Beyond the picture windows are 0, the mean color.

        Raises:
            TensorError: The image has another form, or boxes are given.
        """
        self._refuse_boxes(boxes)
        scaled, windows = self._scaled(image)
        return self._batch(scaled, windows, list(windows.parts())), windows

    def postprocess(self, outputs: Outputs, context: Windows) -> Segmentation:
        """Turn what the network returned into the class of each pixel of the picture.

        Args:
            outputs: By name; of each window.
            context: What `preprocess` returned with the batch.

        Raises:
            TensorError: The output does not fit the windows or the card.
        """
        raw, count = self._output(outputs), len(self.spec.classes)
        if self._kind == LABELS:
            labels = self._labels(raw, len(context))
            return Segmentation(context.stitched(labels), self.spec.classes, self.spec.palette)
        planes = self._planes(raw)
        if planes.ndim != 4 or planes.shape[:2] != (len(context), count):
            raise TensorError(
                f"{self._kind} must hold {len(context)} windows of {count} classes ({self.card.layout}), got "
                f"{raw.shape}: do the card's classes fit the model?"
            )
        if not np.isfinite(planes).all():
            raise TensorError(f"{self.card.name} returned {self._kind} that are not finite")
        maps = ClassMaps(lambda number: context.merged(planes[:, number]), count, self._kind == PROBABILITIES)
        return Segmentation(maps.most_likely(), self.spec.classes, self.spec.palette, maps)

    def predict(
        self, runtime: Runtime, image: NDArray[Any], boxes: ArrayLike | None = None, *, flip: bool = False
    ) -> Segmentation:
        """Go the whole way from an image to its classes, with only a few windows at once in the network."""
        self._refuse_boxes(boxes)
        scaled, windows = self._scaled(image)
        parts = list(windows.parts())
        step = max(PIXELS_AT_ONCE // (windows.size[0] * windows.size[1]), 1)
        found = []
        for start in range(0, len(parts), step):
            batch = self._batch(scaled, windows, parts[start : start + step])
            outputs: Outputs = self.infer(runtime, batch)
            if flip:
                outputs = self.average_flipped(outputs, self.infer(runtime, self.mirror(batch)))
            found.append(self._output(outputs))
        outputs = {self._kind: found[0] if len(found) == 1 else np.concatenate(found)}
        return self.postprocess(outputs, windows)

    def network_inputs(self, image: Image, boxes: NDArray[np.float32]) -> Floats:
        """Make one real input of each box, taken as a picture of its own; of one of many windows, the middle one."""
        height, width = image.shape[:2]
        made = []
        for x1, y1, x2, y2 in np.clip(boxes, 0, [width, height, width, height]).astype(int):
            scaled, windows = self._scaled(image[y1:y2, x1:x2])
            parts = list(windows.parts())
            row, column = len(windows.tops) // 2, len(windows.lefts) // 2
            made.append(self._batch(scaled, windows, [parts[row * len(windows.lefts) + column]]))
        return np.concatenate(made)

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of one window's output: maps at a quarter of the input, numbers of classes at all of it."""
        inputs, classes = self.card.input, len(self.spec.classes)
        if self._kind == LABELS:
            return {LABELS: (inputs.height, inputs.width)}
        size = inputs.height // 4, inputs.width // 4
        return {self._kind: (*size, classes) if self._channels_last else (classes, *size)}

    @property
    def setting(self) -> dict[str, str]:
        """Say how pictures go in."""
        return {"fit": self.spec.fitting}

    def average_flipped(self, outputs: Outputs, flipped: Outputs) -> dict[str, NDArray[Any]]:
        """Average the maps of a batch with those of its mirror image; raises EdgehrError for classes only."""
        if self._kind == LABELS:
            raise EdgehrError(f"{self.card.name} returns classes only, which cannot be averaged: no flip test")
        mirrored = self.mirror(self._output(flipped))
        return {self._kind: (self._output(outputs).astype(np.float32) + mirrored) / 2}

    def compare(self, outputs: Outputs, others: Outputs) -> SegmentationDifference:
        """Measure how far maps and the classes that follow are apart; see `Task.compare`.

        A model that returns classes only may be compared with one that returns maps: these are upsampled first.
        """
        both = [self._found(each) for each in (outputs, others)]
        size = max(each.shape[2:] if each.ndim == 4 else each.shape[1:] for each in both)
        one, two = (self._classes(each, size) for each in both)
        apart = one != two
        if all(each.ndim == 4 for each in both):
            difference = output_difference({self._kind: both[0]}, {self._kind: both[1]})
        else:
            wrong = apart.astype(np.float32)
            difference = output_difference({LABELS: np.zeros_like(wrong)}, {LABELS: wrong})
            difference |= {"reference_std": 1.0, "relative": difference["largest"]}
            difference |= {"relative_mean": difference["mean"], "correlation": 1 - difference["mean"]}
        return SegmentationDifference(**difference, same=float(1 - apart.mean()), pixels=apart.size)

    def _scaled(self, image: NDArray[Any]) -> tuple[Image, Windows]:
        image = as_bgr(image)
        height, width = image.shape[:2]
        windows = Windows.of(height, width, self.spec, self.card.input)
        if windows.padded and self.spec.fit == SLIDE and not any(self.spec.scale):
            window = f"{windows.size[1]}x{windows.size[0]}"
            warn_once(
                "images",
                f"{self.card.name} looks through windows of {window}: a picture of {width}x{height} is smaller and is "
                "padded; fit letterbox enlarges it",
            )
        if windows.scaled == image.shape[:2]:
            return image, windows
        return cv2.resize(image, windows.scaled[::-1], interpolation=cv2.INTER_LINEAR), windows

    def _batch(self, scaled: Image, windows: Windows, parts: list[tuple[slice, slice]]) -> Floats:
        height, width = windows.size
        shape = (height, width, 3) if self._channels_last else (3, height, width)
        batch = np.zeros((len(parts), *shape), np.float32)
        for window, (rows, columns) in zip(batch, parts, strict=True):
            part = scaled[rows, columns]
            colors = part[..., ::-1] if self.card.input.color == "rgb" else part
            high, wide = part.shape[:2]
            into = window[:high, :wide] if self._channels_last else window[:, :high, :wide]
            np.multiply(colors if self._channels_last else colors.transpose(2, 0, 1), self._scale, out=into)
            into -= self._bias
        return batch

    def _planes(self, raw: NDArray[Any]) -> Floats:
        """Return maps as (N, C, h, w) float32."""
        if self._channels_last and raw.ndim == 4:
            raw = raw.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(raw, np.float32)

    def _labels(self, raw: NDArray[Any], count: int) -> NDArray[Any]:
        """Check numbers of classes and return them as (N, h, w) of the type of class maps."""
        if raw.ndim == 4 and 1 in (raw.shape[1], raw.shape[3]):
            raw = raw.squeeze(1 if raw.shape[1] == 1 else 3)
        if raw.ndim != 3 or len(raw) != count:
            raise TensorError(f"{LABELS} must hold {count} windows (N, h, w), got {raw.shape}")
        if raw.size and not 0 <= raw.min() <= raw.max() < len(self.spec.classes):
            raise TensorError(
                f"{self.card.name} returned classes {raw.min()} to {raw.max()}, but knows 0 to "
                f"{len(self.spec.classes) - 1}"
            )
        return raw.astype(label_type(len(self.spec.classes)))

    def _found(self, outputs: Outputs) -> NDArray[Any]:
        """Pick maps (N, C, h, w) float32, or numbers of classes (N, h, w)."""
        if LABELS in outputs:
            return self._labels(outputs[LABELS], len(outputs[LABELS]))
        name = next((name for name in OUTPUTS if name in outputs), self._kind)
        return self._planes(outputs[name] if name in outputs else self._output(outputs))

    def _classes(self, found: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Find the class of each pixel (N, *size) from maps, or from classes."""
        if found.ndim == 3:
            whole = Windows(size, found.shape[1:], found.shape[1:])
            return np.stack([whole.stitched(each[None]) for each in found])
        whole = Windows(size, size, size, align_corners=self.spec.align_corners)

        def most_likely(planes: Floats) -> NDArray[Any]:
            return ClassMaps(lambda number: whole.merged(planes[None, number]), len(planes)).most_likely()

        return np.stack([most_likely(each) for each in found])
