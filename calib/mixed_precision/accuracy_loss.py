"""The accuracy that a simulated network loses, on calibration crops that nothing of it was fitted on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.dataset.calibration_set import MIN_CROPS
from edgehr.calib.dataset.looking import Crop, crop_box
from edgehr.calib.dataset.sources import kind_of, sample_evenly
from edgehr.calib.quantize import Calibration, crop_order
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.terms import Terms
from edgehr.files import sha256_file
from edgehr.tasks.image.reading import Image

MAX_EVALUATED = 300  # crops: more only take longer
MAX_BYTES = 2 << 30  # of inputs and outputs in memory: large pictures are fewer

Array = NDArray[Any]


@dataclass(frozen=True)
class AccuracyLoss:
    """The loss of a network against the float one.

    Attributes:
        drop: Accuracy (`Metrics.accuracy` of the task, 0 to 1) by which it is lower, against the truth that
            `LossMeter.truth` names; negative where it is higher.
        similarity: 1 less the mean similarity of its results with the float network's.
        error: Mean square of the difference of the outputs, over the mean square of the float network's.
    """

    drop: float
    similarity: float
    error: float


class LossMeter:
    """Compares networks with the float one on the same crops, by the evaluator of the card's task.

    Attributes:
        inputs: (N, 3, H, W) the crops; of a task that cuts a picture into windows, all windows of all.
        evaluated_on: How many crops, and whether a step of quantization looked at them, in words.
        float_accuracy: Accuracy of the float network, 0 to 1; 1 where its own results are the truth.
    """

    def __init__(
        self,
        calibration: Calibration,
        annotations: Path | None = None,
        finish: Callable[[Array], Array] = lambda outputs: outputs,
    ) -> None:
        """Read the crops.

        Args:
            calibration: The calibration set and the recipe that the network is quantized with. Crops that the recipe
                leaves are taken, 300 at most, fewer of large pictures; where these are fewer than 32, all are.
            annotations: What is true of the images of the set, as `Evaluator.read` takes it; by default the annotation
                file that the set is from, or else the float network's own results.
            finish: Makes of outputs what the whole graph returns, see `SimulatedNetwork.finish`.

        Raises:
            EdgehrError: The card's results cannot be compared, the annotations do not go with the crops, or a file
                cannot be read.
        """
        crops, self._finish = calibration.crops, finish
        self._card, self._evaluator = calibration.card, Evaluator.for_card(calibration.card)
        self._evaluator.check_comparable(calibration.card)
        if self._evaluator.task.part_specs():
            raise EdgehrError(
                f"{self._card.name} consists of several graphs, of which --max-drop measures one alone: leave it out"
            )
        used = set(crop_order(crops, calibration.recipe.max_crops))
        unused, kind = [index for index in range(len(crops.crops)) if index not in used], "that nothing is fitted on"
        if len(unused) < MIN_CROPS:
            unused, kind = list(range(len(crops.crops))), "that layers are fitted on too: more would tell more"
        chosen = set(sample_evenly(unused, self._affordable(calibration)))
        self.evaluated_on = f"{len(chosen)} calibration crops {kind}"
        batches: list[NDArray[np.float32]] = []
        samples: list[ImageSample] = []
        self._contexts: list[tuple[Any, int]] = []
        for sample, batch, context in self._inputs(calibration, chosen):
            batches.append(batch)
            samples.append(sample)
            self._contexts.append((context, len(batch)))
        self.inputs: NDArray[np.float32] = np.concatenate(batches)
        self._dataset, self._digest = self._truth(calibration, annotations, samples), ""
        if self._dataset:
            self._digest = _digest(annotations or crops.source)
        self._images: Sequence[ImageSample] = self._dataset.images if self._dataset else samples
        self._reference: Array | None = None
        self.float_accuracy = 1.0

    @property
    def terms(self) -> Terms:
        """Give the field's words for what is measured."""
        return self._evaluator.terms

    @property
    def truth(self) -> str:
        """Say what accuracy is measured against."""
        return "their annotations" if self._dataset else "the float network's own results"

    @property
    def key(self) -> dict[str, Any]:
        """Collect what a loss depends on besides the network and the calibration set, in JSON types."""
        return {"evaluated_on": self.evaluated_on, "truth": self._digest, "spec": asdict(self._card)["spec"]}

    def set_reference(self, outputs: Array) -> None:
        """Give the float network's outputs (N, ...) for `inputs`, before anything else is compared.

        Raises:
            EdgehrError: It finds nothing in them, so that nothing can be lost, or a label image cannot be read.
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
            self.float_accuracy = self._evaluator.score(self._dataset, self._float_results).accuracy
            if np.isnan(self.float_accuracy):
                raise EdgehrError(f"{self._dataset.source}: says nothing of the {self.evaluated_on}: leave it out")

    def measure(self, outputs: Array) -> AccuracyLoss:
        """Measure what another network's outputs for `inputs` lose."""
        if self._reference is None:
            raise ValueError("there is nothing to compare with")
        results, without_truth = self._results(outputs), self._dataset is None
        alike = self._evaluator.agreement(self._images, self._float_results, results, with_metric=without_truth)
        metric = self._evaluator.score(self._dataset, results) if self._dataset else alike.metric
        accuracy = metric.accuracy if metric else float("nan")
        error = float(np.square(outputs - self._reference).mean() / np.square(self._reference).mean())
        return AccuracyLoss(self.float_accuracy - accuracy, 1 - alike.similarity, error)

    def _affordable(self, calibration: Calibration) -> int:
        """Tell how many crops fit into memory, judging by the first one; never fewer than a set must have."""
        _, batch, _ = next(self._inputs(calibration, [0]))
        output = 4 * sum(int(np.prod(shape)) for shape in self._evaluator.task.output_shapes().values())
        each = batch.nbytes + 2 * len(batch) * output  # of the float network and of another one
        return max(min(MAX_EVALUATED, MAX_BYTES // each), MIN_CROPS)

    def _inputs(
        self, calibration: Calibration, chosen: Collection[int]
    ) -> Iterator[tuple[ImageSample, NDArray[np.float32], Any]]:
        """Read crops, each of which counts as an image: a sample, its input, and what `postprocess` takes with it."""
        task = self._evaluator.task
        pictures: Iterator[tuple[Crop, Image]] = islice(calibration.crops.pictures(), max(chosen) + 1)
        read = 0
        for index, (crop, pixels) in enumerate(pictures):
            if index not in chosen:
                continue
            box = np.array(crop_box(crop, pixels), np.float32)
            batch, context = task.preprocess_part(pixels, box)
            whole = crop.box is None and not task.takes_boxes
            yield ImageSample.with_boxes(read, crop.image, [] if whole else box), batch, context
            read += 1

    def _truth(
        self, calibration: Calibration, annotations: Path | None, samples: Sequence[ImageSample]
    ) -> Dataset | None:
        source, images = calibration.crops.source, calibration.crops.images
        if annotations is None:
            return self._evaluator.of_crops(source, images, samples) if kind_of(source) == "annotations" else None
        dataset = self._evaluator.of_crops(annotations, source, samples)
        if dataset is None:
            raise EdgehrError(
                f"{annotations}: does not say what is true of all {len(samples)} crops of {source} that the drop is "
                "measured on: calibrate on the images that it is of, or leave it out"
            )
        return dataset

    def _results(self, outputs: Array) -> list[Any]:
        found, start = [], 0
        for context, count in self._contexts:
            named = self._named(self._finish(outputs[start : start + count]))
            found.append(self._evaluator.task.postprocess(named, context))
            start += count
        return found

    def _named(self, outputs: Array) -> dict[str, Array]:
        """Tell several outputs apart, which a simulated network returns as one row an image."""
        shapes = self._evaluator.task.output_shapes()
        if len(shapes) == 1:
            return {name: outputs for name in shapes}
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        rows = np.split(outputs, ends[:-1], axis=1)
        return {name: row.reshape(-1, *shapes[name]) for name, row in zip(shapes, rows, strict=True)}


def _digest(annotations: Path) -> str:
    """Compute a hash of an annotation file, or of all files of a folder."""
    if annotations.is_file():
        return sha256_file(annotations)
    files = sorted(path for path in annotations.rglob("*") if path.is_file())
    hashes = [[str(path.relative_to(annotations)), sha256_file(path)] for path in files]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
