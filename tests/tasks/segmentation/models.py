"""Segmentation models that tests make themselves: a runtime that computes its output with a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.tasks.segmentation.spec import SegmentationSpec
from edgehr.tasks.segmentation.task import SegmentationTask

COLORS = ((0, 0, 0), (200, 30, 30), (30, 200, 30), (30, 30, 200))
NAMES = ("background", "person", "tree", "sky")


def small_card(classes: int = 3, size: tuple[int, int] = (32, 64), output: str = "logits", **spec: Any) -> ModelCard:
    """A card whose network sees pixels as they are."""
    return ModelCard(
        name=f"small-{size[0]}x{size[1]}",
        task="segmentation",
        architecture="hrnetv2",
        dataset="none",
        input=InputSpec(*size, mean=(0, 0, 0), std=(1, 1, 1)),
        outputs=(OutputSpec(output, ""),),
        spec=SegmentationSpec(NAMES[:classes], COLORS[:classes], **spec),
        weights=WeightsInfo("user"),
    )


class FunctionRuntime(Runtime):
    """Computes the output of a batch with a function; of any batch, or of a fixed one."""

    def __init__(
        self, card: ModelCard, function: Callable[[NDArray[Any]], NDArray[Any]], dtype: Any = np.float32
    ) -> None:
        self.function, self.batches = function, list[int]()
        height, width, float32 = card.input.height, card.input.width, np.dtype(np.float32)
        shape = (height, width, 3) if card.layout == "nhwc" else (3, height, width)
        outputs = SegmentationTask(card).output_shapes()
        super().__init__(
            [TensorSpec(card.input.name, (None, *shape), float32)],
            [TensorSpec(name, (None, *size), np.dtype(dtype)) for name, size in outputs.items()],
            artifact=Artifact(card, "fp32", "0" * 64, {}),
        )

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        batch = inputs[self.inputs[0].name]
        self.batches.append(len(batch))
        return {self.outputs[0].name: self.function(batch)}


def pooled(batch: NDArray[Any]) -> NDArray[np.float32]:
    """Logits of three classes from the pixels' colors, at a quarter of the resolution."""
    count, channels, height, width = batch.shape
    return np.float32(batch.reshape(count, channels, height // 4, 4, width // 4, 4).mean(axis=(3, 5)) / 40)
