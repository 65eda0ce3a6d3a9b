"""The work of a search that machines do not do: conversions and accuracies, each once, whoever asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.calib.dataset.held_out import refuse_images
from edgehr.converters.convert import convert
from edgehr.converters.target import make_target
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.overlap import file_fingerprint
from edgehr.files import sha256_file
from edgehr.progress import ProgressBar
from edgehr.runtimes.formats import format_of
from edgehr.spread import Crew, OwnProcess
from edgehr.tune.accuracy import Accuracy, measure_accuracy
from edgehr.tune.journal import Journal
from edgehr.tune.results import Limits
from edgehr.tune.variants import Model, Variant

if TYPE_CHECKING:
    from edgehr.calib.dataset.calibration_set import CalibrationSet

# Opens a step: its kind, as `edgehr.tune.time_left` has them, and what it does in words.
Step = Callable[[str, str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Request:
    """Says what to search for, and where.

    Attributes:
        models: The networks, each at one input size.
        targets: What to convert to.
        precisions: Those that are wanted.
        limits: What the choice has to keep to.
        annotations: What accuracy is measured on, as `edgehr eval` takes it.
        folder: Where artifacts, the journal and the choice go.
        images: The images of the annotations; None for where such files have them.
        detections: Boxes to take in place of annotated ones.
        max_samples: How many people, or images, to evaluate on; 0 for all.
        calibration: For INT8; None leaves it out.
        at_once: Images of a frame: people that come together.
    """

    models: tuple[Model, ...]
    targets: tuple[str, ...]
    precisions: tuple[str, ...]
    limits: Limits
    annotations: Path
    folder: Path
    images: Path | None = None
    detections: Path | None = None
    max_samples: int = 0
    calibration: CalibrationSet | None = None
    at_once: int = 1


class Workstation:
    """Converts and evaluates, and does nothing twice.

    Args:
        request: What to search for.
        bar: Shows progress of an evaluation.
        crew: Who evaluates; this process, by default.
        run: Calls what is given to it, in the thread in which all such work is done.

    Attributes:
        request: The same.
        evaluator: Of the models' task.
        dataset: What accuracy is measured on.
        journal: What was found so far.

    Raises:
        EdgehrError: The images cannot be read, or some of them are calibrated on.
    """

    def __init__(
        self,
        request: Request,
        bar: ProgressBar,
        crew: Crew | None = None,
        run: Callable[[Callable[[], Any]], Any] = lambda call: call(),
    ) -> None:
        self.request, self._bar, self._crew, self._run = request, bar, crew or OwnProcess(), run
        self.evaluator = Evaluator.for_card(request.models[0].card)
        self.evaluator.check_installed()
        for model in request.models[1:]:
            self.evaluator.check_comparable(model.card)
        self.dataset = self.evaluator.read(request.annotations, request.images, request.detections, request.max_samples)
        if request.calibration:
            prints = {image.path: file_fingerprint(image.path, image.size) for image in self.dataset.images}
            refuse_images(request.calibration, prints, request.annotations)
        request.folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(request.folder / "journal.json")
        self._failed: dict[Path, str] = {}  # what could not be made, and why

    def convert(self, variant: Variant, step: Step) -> Path:
        """Return the file of a variant, made now or by an earlier search."""
        path: Path = self._run(partial(self._convert, variant, step))
        return path

    def evaluate(self, variant: Variant, path: Path, step: Step) -> Accuracy:
        """Measure the accuracy of a variant."""
        accuracy: Accuracy = self._run(partial(self._evaluate, variant, path, step))
        return accuracy

    def _convert(self, variant: Variant, step: Step) -> Path:
        model, quantized = variant.model, variant.conversion == "quantize"
        calibration = self.request.calibration if quantized else None
        target = replace(make_target(variant.target, precision=variant.precision), calibration=calibration)
        path = self.request.folder / f"{self._stem(model)}-{variant.precision}{target.suffix}"
        of = {
            "edgehr": version("edgehr"),
            "card": model.card.to_dict(),
            "weights": sha256_file(model.weights),
            "target": variant.target,
            "precision": variant.precision,
            "calibration": calibration.sha256 if calibration else "",
        }
        if failed := self._failed.get(path):  # for another machine
            raise EdgehrError(failed)
        known = self.journal.find("convert", of)
        if known is None or known["files"] != _hashes(path):
            with step(variant.conversion, f"convert {self._stem(model)} to {variant.name}"):
                try:
                    target.check()
                    target.check_model(model.card)
                    convert(model.card, model.weights, target, out=path)
                except EdgehrError as error:
                    self._failed[path] = str(error)
                    raise
            self.journal.write("convert", of, {"files": _hashes(path)})
        return path

    def _evaluate(self, variant: Variant, path: Path, step: Step) -> Accuracy:
        request = self.request
        of = {
            "file": sha256_file(path),
            "arithmetic": variant.arithmetic,
            "samples": request.max_samples,
            **{name: _digest(getattr(request, name)) for name in ("annotations", "images", "detections")},
        }
        known = self.journal.find("accuracy", of)
        if known is None:
            with step("evaluate", f"evaluate {path.name}, {variant.name}"):
                measured = measure_accuracy(
                    path, variant.arithmetic, self.evaluator, self.dataset, self._bar, self._crew
                )
            known = measured.to_dict()
            self.journal.write("accuracy", of, known)
        return Accuracy.from_dict(known)

    def _stem(self, model: Model) -> str:
        """Name a model's files: by its card, and by its weights too where several models have that card."""
        same = {each.weights for each in self.request.models if each.card.name == model.card.name}
        return model.card.name if len(same) == 1 else f"{model.card.name}-{model.weights.stem}"


def _hashes(path: Path) -> dict[str, str]:
    """Hash the files of a model that are there, by name."""
    return {file.name: sha256_file(file) for file in format_of(path).files(path) if file.is_file()}


def _digest(path: Path | None) -> str:
    """Tell a file by its content, and a folder by the names and sizes in it."""
    if path is None or not path.exists():
        return ""
    if path.is_file():
        return sha256_file(path)
    listing = sorted((str(each.relative_to(path)), each.stat().st_size) for each in path.rglob("*") if each.is_file())
    return hashlib.sha256(repr(listing).encode()).hexdigest()
