"""A task of somebody else's: the mean of each map that a network makes of a whole picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgehr.card import ModelCard, TaskSpec
from edgehr.evaluation.base import Agreement, Evaluator, Metrics
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.registry import TASKS
from edgehr.tasks.base import Outputs, Task
from edgehr.tasks.image.reading import as_bgr


@dataclass(frozen=True)
class StatisticsSpec(TaskSpec):
    """What the maps are called."""

    maps: tuple[str, ...]
    unit: str = "levels"

    @property
    def num_outputs(self) -> int:
        return len(self.maps)

    @property
    def finds(self) -> str:
        return f"{len(self.maps)} means"

    @property
    def decoding_name(self) -> str:
        return "mean"

    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        return [("means of", f"{', '.join(self.maps)} ({self.unit})")]


@dataclass(frozen=True)
class Means(Metrics):
    error: float

    @property
    def figures(self) -> dict[str, float]:
        return {"within 5 %": self.error}

    @property
    def counted(self) -> str:
        return "pictures"

    def to_dict(self) -> dict[str, Any]:
        return {"within": self.error}


@dataclass(frozen=True)
class MeansAgreement(Agreement):
    share: float

    @property
    def similarity(self) -> float:
        return self.share

    @property
    def metric(self) -> Metrics | None:
        return None

    @property
    def rows(self) -> list[list[object]]:
        return [["alike", f"{self.share:.4f}", "means within 5 %"]]

    def to_dict(self) -> dict[str, Any]:
        return {"alike": self.share}


class StatisticsTask(Task):
    spec_type = StatisticsSpec
    evaluator = "tests.extending.statistics_task:StatisticsEvaluator"

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> tuple[NDArray[np.float32], None]:
        spec = self.card.input
        small = cv2.resize(as_bgr(image), (spec.width, spec.height), interpolation=cv2.INTER_AREA)
        return np.float32(small.transpose(2, 0, 1)[None] / 255), None

    def postprocess(self, outputs: Outputs, context: None) -> NDArray[Any]:
        means: NDArray[Any] = self._output(outputs).mean(axis=(2, 3))[0]
        return means

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        spec = self.card.input
        return {
            self.card.outputs[0].name: (len(self.card.spec_as(StatisticsSpec).maps), spec.height // 4, spec.width // 4)
        }


class StatisticsEvaluator(Evaluator):
    similarity_name = "share of alike means"

    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        truth = json.loads(annotations.read_text())
        files = [(images or annotations.parent) / name for name in truth]
        samples = [ImageSample.with_boxes(number, path, []) for number, path in enumerate(files)]
        return Dataset(samples, list(truth.values()), str(annotations))

    def score(self, dataset: Dataset, results: Sequence[Any]) -> Metrics:
        return Means(float(np.mean([_alike(*pair) for pair in zip(dataset.truth, results, strict=True)])))

    def similarities(self, image: ImageSample, first: Any, second: Any) -> NDArray[np.float64]:
        return np.array([_alike(first, second)])

    def agreement(
        self, images: Sequence[ImageSample], first: Sequence[Any], second: Sequence[Any], *, with_metric: bool = True
    ) -> Agreement:
        return MeansAgreement(float(np.mean([_alike(*pair) for pair in zip(first, second, strict=True)])))


def _alike(one: ArrayLike, two: ArrayLike) -> bool:
    return bool(np.allclose(one, two, rtol=0.05))


TASKS.register("statistics", StatisticsTask)
