"""The accuracy that a simulated network loses, on calibration crops that nothing of it was fitted on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.dataset.calibration_set import MIN_CROPS
from edgehr.calib.dataset.sources import crop_box, kind_of, sample_evenly
from edgehr.calib.quantize import Calibration, crop_order
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.dataset import ImageSample

MAX_EVALUATED = 300  # crops: more only take longer


@dataclass(frozen=True)
class AccuracyLoss:
    """The loss of a network against the float one.

    Attributes:
        ap: AP, 0 to 1, by which it is lower, of the truth that `LossMeter.truth` names; negative where it is higher.
        similarity: 1 less the mean similarity (OKS) of its results with the float network's.
        error: Mean square of the difference of the outputs, over the mean square of the float network's.
    """

    ap: float
    similarity: float
    error: float


class LossMeter:
    """Compares networks with the float one on the same crops, by the evaluator of the card's task.

    Attributes:
        inputs: (N, 3, H, W) the crops.
        evaluated_on: N, and whether a step of quantization looked at them, in words.
        float_ap: AP of the float network, 0 to 1; 1 where its own results are the truth.
    """

    def __init__(self, calibration: Calibration) -> None:
        """Read the crops.

        Args:
            calibration: The calibration set and the recipe that the network is quantized with. Crops that the recipe
                leaves are taken, 300 at most; where these are fewer than 32, all are.

        Raises:
            EdgehrError: The card's results cannot be compared, or a crop cannot be read.
        """
        crops = calibration.crops
        self._card, self._evaluator = calibration.card, Evaluator.for_card(calibration.card)
        self._evaluator.check_comparable(calibration.card)
        used = set(crop_order(crops, calibration.recipe.max_crops))
        unused, kind = [index for index in range(len(crops.crops)) if index not in used], "that nothing is fitted on"
        if len(unused) < MIN_CROPS:
            unused, kind = list(range(len(crops.crops))), "that layers are fitted on too: more would tell more"
        chosen = set(sample_evenly(unused, MAX_EVALUATED))
        self.evaluated_on = f"{len(chosen)} calibration crops {kind}"
        batches: list[NDArray[np.float32]] = []
        self._contexts: list[Any] = []
        self._images: Sequence[ImageSample] = []
        task, samples = self._evaluator.task, []
        for index, (crop, pixels) in enumerate(crops.pictures()):
            if index in chosen:
                box = np.array([crop_box(crop, pixels)], np.float32)
                batch, context = task.preprocess(pixels, box)
                samples.append(ImageSample.with_boxes(len(batches), crop.image, box))  # each crop counts as an image
                batches.append(batch)
                self._contexts.append(context)
        self.inputs: NDArray[np.float32] = np.concatenate(batches)
        annotated = kind_of(crops.source) == "annotations"
        self._dataset = self._evaluator.of_crops(crops.source, crops.images, samples) if annotated else None
        self._images = self._dataset.images if self._dataset else samples
        self._reference: NDArray[np.float32] | None = None
        self.float_ap = 1.0

    @property
    def truth(self) -> str:
        """Say what AP is measured against."""
        return "their annotations" if self._dataset else "the float network's own results"

    @property
    def key(self) -> dict[str, Any]:
        """Collect what a loss depends on besides the network and the calibration set, in JSON types."""
        truth = self._dataset.truth.data["annotations"] if self._dataset else []
        digest = hashlib.sha256(json.dumps(truth, sort_keys=True).encode()).hexdigest()
        return {"evaluated_on": self.evaluated_on, "truth": digest, "spec": asdict(self._card)["spec"]}

    def set_reference(self, outputs: NDArray[np.float32]) -> None:
        """Give the float network's outputs (N, ...) for `inputs`, before anything else is compared.

        Raises:
            EdgehrError: It finds nothing in them, so that nothing can be lost.
        """
        self._reference = outputs
        self._float_results = self._results(outputs)
        alike = self._evaluator.agreement(self._images, self._float_results, self._float_results, with_metric=False)
        if np.isnan(alike.similarity):
            raise EdgehrError(
                f"{self._card.name}: the float network {self._evaluator.blindness} in the {self.evaluated_on}, so a "
                "drop cannot be measured: calibrate on pictures of what it finds, or leave out --max-drop"
            )
        if self._dataset:
            self.float_ap = self._evaluator.score(self._dataset, self._float_results).accuracy

    def measure(self, outputs: NDArray[np.float32]) -> AccuracyLoss:
        """Measure what another network's outputs for `inputs` lose."""
        if self._reference is None:
            raise ValueError("there is nothing to compare with")
        results, without_truth = self._results(outputs), self._dataset is None
        alike = self._evaluator.agreement(self._images, self._float_results, results, with_metric=without_truth)
        metric = self._evaluator.score(self._dataset, results) if self._dataset else alike.metric
        error = float(np.square(outputs - self._reference).mean() / np.square(self._reference).mean())
        return AccuracyLoss(self.float_ap - (metric.accuracy if metric else float("nan")), 1 - alike.similarity, error)

    def _results(self, outputs: NDArray[np.float32]) -> list[Any]:
        name, task = self._card.outputs[0].name, self._evaluator.task
        pairs = zip(outputs, self._contexts, strict=True)
        return [task.postprocess({name: one[None]}, context) for one, context in pairs]
