"""What a simulated network loses on calibration crops that nothing of it was fitted on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.crops import FEWEST_CROPS
from edgehr.calib.quantize import Calibration, crop_order
from edgehr.calib.sources import crop_box, kind_of, spread
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator, ImageSample

MOST_JUDGED = 300  # crops: more only take longer


@dataclass(frozen=True)
class Loss:
    """What a network loses against the float one.

    Attributes:
        ap: AP, 0 to 1, by which it is lower, of the truth that `Judge.truth` names; negative where it is higher.
        oks: 1 less the mean similarity (OKS) of its results with the float network's.
        error: Mean square of the difference of the outputs, over the mean square of the float network's.
    """

    ap: float
    oks: float
    error: float


class Judge:
    """Compares networks with the float one on the same crops, by the evaluator of the card's task.

    Attributes:
        inputs: (N, 3, H, W) the crops.
        people: N, and whether a step of quantization looked at them, in words.
        float_ap: AP of the float network, 0 to 1; 1 where its own results are the truth.
    """

    def __init__(self, by: Calibration) -> None:
        """Read the crops.

        Args:
            by: The calibration set and the recipe that the network is quantized with. Crops that the recipe leaves are
                taken, 300 at most; where these are fewer than 32, all are.

        Raises:
            EdgehrError: The card's results cannot be compared, or a crop cannot be read.
        """
        self._card, self._evaluator = by.card, Evaluator.for_card(by.card)
        self._evaluator.check_comparable(by.card)
        places = self._choose(by)
        batches: list[NDArray[np.float32]] = []
        self._contexts: list[Any] = []
        self._images: Sequence[ImageSample] = []
        task, samples = self._evaluator.task, []
        for place, (crop, pixels) in enumerate(by.crops.pictures()):
            if place not in places:
                continue
            box = np.array([crop_box(crop, pixels)], np.float32)
            batch, context = task.preprocess(pixels, box)
            samples.append(ImageSample.with_boxes(len(batches), crop.image, box))  # everybody counts as an image
            batches.append(batch)
            self._contexts.append(context)
        self.inputs: NDArray[np.float32] = np.concatenate(batches)
        source = by.crops.source
        annotated = kind_of(source) == "annotations"
        self._dataset = self._evaluator.of_crops(source, by.crops.images, samples) if annotated else None
        self._images = self._dataset.images if self._dataset else samples
        self._reference: NDArray[np.float32] | None = None
        self.float_ap = 1.0

    def _choose(self, by: Calibration) -> set[int]:
        used = set(crop_order(by.crops, by.recipe.max_crops))
        rest = [place for place in range(len(by.crops.crops)) if place not in used]
        kind = "that nothing is fitted on"
        if len(rest) < FEWEST_CROPS:
            rest, kind = list(range(len(by.crops.crops))), "that layers are fitted on too: more would tell more"
        chosen = set(spread(rest, MOST_JUDGED))
        self.people = f"{len(chosen)} calibration crops {kind}"
        return chosen

    @property
    def truth(self) -> str:
        """Say what AP is measured against."""
        return "their annotations" if self._dataset else "the float network's own results"

    @property
    def key(self) -> dict[str, Any]:
        """Collect what a loss depends on besides the network and the calibration set, in JSON types."""
        truth = self._dataset.truth.data["annotations"] if self._dataset else []
        digest = hashlib.sha256(json.dumps(truth, sort_keys=True).encode()).hexdigest()
        return {"people": self.people, "truth": digest, "spec": asdict(self._card)["spec"]}

    def set_reference(self, maps: NDArray[np.float32]) -> None:
        """Give the float network's outputs (N, ...) for `inputs`, before anything else is compared.

        Raises:
            EdgehrError: It finds nothing in them, so that nothing can be lost.
        """
        self._reference = maps
        self._float_results = self._results(maps)
        alike = self._evaluator.agreement(self._images, self._float_results, self._float_results, with_metric=False)
        if alike.similarity != alike.similarity:
            raise EdgehrError(
                f"{self._card.name}: the float network {self._evaluator.blindness} in the {self.people}, so a drop "
                "cannot be measured: calibrate on pictures of what it finds, or leave out --max-drop"
            )
        if self._dataset:
            self.float_ap = self._evaluator.score(self._dataset, self._float_results).headline

    def loss(self, maps: NDArray[np.float32]) -> Loss:
        """Measure what another network's outputs for `inputs` lose."""
        if self._reference is None:
            raise ValueError("there is nothing to compare with")
        results = self._results(maps)
        without_truth = self._dataset is None
        alike = self._evaluator.agreement(self._images, self._float_results, results, with_metric=without_truth)
        metric = self._evaluator.score(self._dataset, results) if self._dataset else alike.metric
        error = float(np.square(maps - self._reference).mean() / np.square(self._reference).mean())
        return Loss(self.float_ap - (metric.headline if metric else float("nan")), 1 - alike.similarity, error)

    def _results(self, maps: NDArray[np.float32]) -> list[Any]:
        name, task = self._card.outputs[0].name, self._evaluator.task
        return [task.postprocess({name: one[None]}, context) for one, context in zip(maps, self._contexts, strict=True)]
