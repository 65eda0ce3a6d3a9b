"""Take the steps of a search. Each is written down, so that a search that was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.benchmark.bench import Settings
from edgehr.benchmark.candidates import Candidate
from edgehr.benchmark.results import BenchReport
from edgehr.benchmark.table import between
from edgehr.calib.dataset.held_out import refuse_images
from edgehr.converters.convert import convert
from edgehr.converters.target import make_target
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.overlap import file_fingerprint
from edgehr.files import sha256_file
from edgehr.progress import ProgressBar
from edgehr.runtimes.formats import format_of
from edgehr.tune.accuracy import Accuracy, measure_accuracy
from edgehr.tune.journal import Journal
from edgehr.tune.race import Bench, Raced, candidate, race
from edgehr.tune.results import Limits
from edgehr.tune.time_left import TimeLeft
from edgehr.tune.variants import Model, Variant, configurations

if TYPE_CHECKING:
    from edgehr.calib.dataset.calibration_set import CalibrationSet

FINAL_S = 8.0


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


class Steps:
    """Converts, races and evaluates, and does nothing twice.

    Args:
        request: What to search for.
        bench: Measures candidates, here or on another machine.
        where: Name of that other machine; empty for this one.
        bar: Shows progress of an evaluation.
        tell: Told what is being done, and how long all of it will take.

    Attributes:
        evaluator: Of the models' task.
        dataset: What accuracy is measured on.
        time: What may still come.
        machine: Name of the machine that is measured on, once a model has run there.

    Raises:
        EdgehrError: The images cannot be read, or some of them are calibrated on.
    """

    def __init__(
        self, request: Request, bench: Bench, where: str, bar: ProgressBar, tell: Callable[[str], None]
    ) -> None:
        self._request, self._bench, self._where, self._bar, self._tell = request, bench, where, bar, tell
        self.evaluator = Evaluator.for_card(request.models[0].card)
        self.evaluator.check_installed()
        for model in request.models[1:]:
            self.evaluator.check_comparable(model.card)
        self.dataset = self.evaluator.read(request.annotations, request.images, request.detections, request.max_samples)
        if request.calibration:
            prints = {image.path: file_fingerprint(image.path, image.size) for image in self.dataset.images}
            refuse_images(request.calibration, prints, request.annotations)
        request.folder.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(request.folder / "journal.json")
        self.time = TimeLeft()
        self.machine, self._cores = "", 1
        # Runs along in every race: the first model that ran.
        self._pacemaker: Candidate | None = None
        self._pacemaker_sha256 = ""

    def convert(self, variant: Variant) -> Path:
        """Return the file of a variant, made now or by an earlier search."""
        model, quantized = variant.model, variant.conversion == "quantize"
        calibration = self._request.calibration if quantized else None
        target = replace(make_target(variant.target, precision=variant.precision), calibration=calibration)
        path = self._request.folder / f"{self._stem(model)}-{variant.precision}{target.suffix}"
        of = {
            "edgehr": version("edgehr"),
            "card": model.card.to_dict(),
            "weights": sha256_file(model.weights),
            "target": variant.target,
            "precision": variant.precision,
            "calibration": calibration.sha256 if calibration else "",
        }
        known = self._journal.find("convert", of)
        if known is None or known["files"] != _hashes(path):
            with self._step(variant.conversion, f"convert {self._stem(model)} to {variant.name}"):
                target.check()
                target.check_model(model.card)
                convert(model.card, model.weights, target, out=path)
            self._journal.write("convert", of, {"files": _hashes(path)})
        return path

    def _stem(self, model: Model) -> str:
        """Name a model's files: by its card, and by its weights too where several models have that card."""
        same = {each.weights for each in self._request.models if each.card.name == model.card.name}
        return model.card.name if len(same) == 1 else f"{model.card.name}-{model.weights.stem}"

    def race(self, variant: Variant, path: Path) -> Raced:
        """Race the ways to run a variant."""
        if not self.machine:
            report = self._bench([Candidate(path)], Settings(rounds=1, starts=0))
            self.machine, self._cores = report.setting["machine"], report.state["cores"]["usable"]
        at_once, runs = self._request.at_once, configurations(variant, self._cores, self._request.at_once)
        sha256 = sha256_file(path)
        of = {
            "file": sha256,
            "runs": [vars(run).copy() for run in runs],
            "at_once": at_once,
            "machine": [self._where, self.machine],
            "pacemaker": self._pacemaker_sha256,
        }
        known = self._journal.find("race", of)
        if known is None:
            with self._step("race", f"time {path.name}, {variant.name}"):
                known = race(path, runs, self._pacemaker, at_once, self._bench).to_dict()
            self._journal.write("race", of, known)
        raced = Raced.from_dict(known)
        if self._pacemaker is None:
            self._pacemaker, self._pacemaker_sha256 = candidate(path, raced.run, at_once), sha256
        return raced

    def check_machine(self) -> None:
        """Raise EdgehrError where nothing can be measured any more, as where the other machine is lost."""
        if self._pacemaker:
            self._bench([self._pacemaker], Settings(rounds=1, starts=0))

    def evaluate(self, variant: Variant, path: Path) -> Accuracy:
        """Measure the accuracy of a variant."""
        request = self._request
        of = {
            "file": sha256_file(path),
            "arithmetic": variant.arithmetic,
            "samples": request.max_samples,
            **{name: _digest(getattr(request, name)) for name in ("annotations", "images", "detections")},
        }
        known = self._journal.find("accuracy", of)
        if known is None:
            with self._step("evaluate", f"evaluate {path.name}, {variant.name}"):
                known = measure_accuracy(path, variant.arithmetic, self.dataset, self._bar).to_dict()
            self._journal.write("accuracy", of, known)
        return Accuracy.from_dict(known)

    def final(self, entered: Sequence[Candidate]) -> dict[str, Any]:
        """Measure finalists beside each other, for longer.

        Returns:
            ``ms`` of a frame for each; ``ratios`` to the fastest, with its interval; ``alike``, for each the places of
            those that it was not told apart from; ``remarks``.
        """
        runs = [{**each.to_dict(), "path": sha256_file(each.path)} for each in entered]
        of = {"runs": runs, "machine": [self._where, self.machine]}
        known: dict[str, Any] | None = self._journal.find("final", of)
        if known is None:
            with self._step("final", f"final of {len(entered)}"):
                report = self._bench(entered, Settings(seconds=FINAL_S, starts=0))
            known = _summary(report)
            self._journal.write("final", of, known)
        return known

    def _step(self, kind: str, what: str) -> Any:
        self._tell(f"{what} ({self.time})")
        return self.time.step(kind)


def _summary(report: BenchReport) -> dict[str, Any]:
    """Sum a final up in plain JSON types; see `Steps.final`."""
    names = [each.name for each in report.candidates]
    ms = [each.latency.p50_ms * each.images for each in report.candidates]
    fastest = names[ms.index(min(ms))]
    pairs = {name: between(report, fastest, name) for name in names if name != fastest}
    return {
        "ms": ms,
        "ratios": [
            [pairs[name].ratio, pairs[name].low, pairs[name].high] if name in pairs else [1.0, 1.0, 1.0]
            for name in names
        ],
        "alike": [
            [i for i, other in enumerate(names) if other != name and not between(report, name, other).told_apart]
            for name in names
        ],
        "remarks": report.remarks,
    }


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
