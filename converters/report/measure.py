"""Measure artifacts of one model beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.benchmark.naming import short_labels
from edgehr.benchmark.state import machine, runtime_version
from edgehr.benchmark.timing import Latency, interleaved
from edgehr.converters.report.layer_error import layer_errors
from edgehr.converters.report.pictures import draw_ranks
from edgehr.converters.report.results import MeasuredArtifact, QualityReport
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.overlap import refuse_calibrated
from edgehr.progress import ProgressBar, no_bar
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.formats import format_of

LAYER_IMAGES = 4  # that the error of layers is measured on
_PAUSE_S = 0.03
_WARM_UP = 5


@dataclass(frozen=True)
class _Opened:
    """An artifact that is open, and what judges it."""

    label: str
    path: Path
    runtime: Runtime
    evaluator: Evaluator

    def network_input(self, image: ImageSample) -> NDArray[np.float32]:
        """Make the model's input, without the batch, of the first box of an image or the whole of it."""
        task = self.evaluator.task
        batch, _ = task.preprocess(image.read(), image.boxes[:1] if task.takes_boxes else None)
        first: NDArray[np.float32] = batch[0]
        return first


def measure(
    paths: Sequence[Path],
    annotations: Path,
    images: Path | None = None,
    *,
    max_samples: int = 0,
    threads: int | None = None,
    rounds: int = 50,
    bar: ProgressBar = no_bar,
) -> QualityReport:
    """Measure artifacts of one model on annotated images, as the evaluator of its task does.

    Args:
        paths: The artifacts, the float32 one first: the others are compared with it.
        annotations: The annotation file. Boxes are the annotated ones.
        images: The folder of its images; by default where such files have them.
        max_samples: Stop after the images that hold so many samples; 0 takes all.
        threads: Threads of one inference; None leaves it to the runtimes.
        rounds: Inferences of each artifact that are timed, in turns.
        bar: Shows progress.

    Raises:
        EdgehrError: There are fewer than two artifacts, one cannot be opened or was not made by edgehr, they are not
            comparable, one was calibrated on these images, or the annotations do not suit them.
    """
    if len(paths) < 2:
        raise EdgehrError("a report compares artifacts: name the float32 one and at least one more")
    with ExitStack() as stack:
        opened = []
        for label, path in zip(short_labels(paths), paths, strict=True):
            runtime = stack.enter_context(load(path, threads=threads))
            opened.append(_Opened(label, path, runtime, Evaluator.for_card(runtime.require_artifact().card)))
        evaluator = opened[0].evaluator
        evaluator.check_installed()
        for other in opened:
            evaluator.check_comparable(other.evaluator.card)
        dataset = evaluator.read(annotations, images, max_samples=max_samples)
        refuse_calibrated([each.runtime.artifact for each in opened], [image.path for image in dataset.images])
        results = []
        for each in opened:
            with bar(f"evaluating {each.label}", len(dataset)) as progress:
                results.append(each.evaluator.predict(each.runtime, dataset.images, progress=progress.advance))
        latencies = _time(opened, dataset.images[0], rounds, bar)
        measured = [
            _figures(each, evaluator, dataset, results[0], found, latency)
            for each, found, latency in zip(opened, results, latencies, strict=True)
        ]
    pairs = zip(opened, measured, strict=True)
    measured = [_with_layer_errors(each, one, measured, dataset.images, bar) for each, one in pairs]
    shown = [number for number, one in enumerate(measured) if number and one.quantized] or [len(measured) - 1]
    return QualityReport(
        model=evaluator.card.name,
        setting=_setting(opened, annotations, dataset, threads, rounds),
        terms=evaluator.terms,
        artifacts=tuple(measured),
        pictures=tuple(
            picture
            for number in shown
            for picture in draw_ranks(opened[number].label, evaluator, dataset.images, results[0], results[number])
        ),
    )


def _time(opened: Sequence[_Opened], image: ImageSample, rounds: int, bar: ProgressBar) -> list[Latency]:
    """Time one image on each artifact, in turns."""
    calls, sizes = {}, {}
    for each in opened:
        spec = each.runtime.inputs[0]
        sizes[each.label] = spec.shape[0] or max(each.runtime.batch_range[0], 1)
        batch = np.repeat(each.network_input(image)[None], sizes[each.label], axis=0)
        fed = {spec.name: batch.astype(spec.dtype)}
        calls[each.label] = lambda runtime=each.runtime, fed=fed: runtime.infer(fed)
    with bar("timing", rounds) as progress:
        times = interleaved(calls, rounds, _WARM_UP, _PAUSE_S, progress.advance)
    return [Latency.of(times[each.label], sizes[each.label]) for each in opened]


def _figures(
    each: _Opened,
    evaluator: Evaluator,
    dataset: Dataset,
    reference: Sequence[Any],
    results: Sequence[Any],
    latency: Latency,
) -> MeasuredArtifact:
    """Put together what is known of one artifact but its layers; `evaluator` and `reference` are the first's."""
    kind = format_of(each.path)
    coverage = kind.coverage(each.path)
    counts = kind.operators(each.path) if coverage else None
    pairs = zip(dataset.images, reference, results, strict=True)
    return MeasuredArtifact(
        label=each.label,
        path=each.path,
        artifact=each.runtime.require_artifact(),
        runtime=f"{runtime_version(each.runtime.backend)} {each.runtime.device}",
        size_bytes=sum(file.stat().st_size for file in kind.files(each.path)),
        operators=None if counts is None else sum(counts.values()),
        coverage=coverage,
        accuracy=each.evaluator.score(dataset, results),
        agreement=None if results is reference else evaluator.agreement(dataset.images, reference, results),
        similarity=np.concatenate([evaluator.similarities(*pair) for pair in pairs]),
        latency=latency,
    )


def _with_layer_errors(
    each: _Opened,
    measured: MeasuredArtifact,
    all_measured: Sequence[MeasuredArtifact],
    images: Sequence[ImageSample],
    bar: ProgressBar,
) -> MeasuredArtifact:
    """Measure each layer's error, where the first float32 artifact of the same format is another one of this layout."""
    kind = format_of(measured.path)
    same = (one for one in all_measured if format_of(one.path) is kind and one.artifact.precision == "fp32")
    base = next(same, measured)
    if base is measured or not (base.coverage and measured.coverage):
        return measured
    if base.artifact.card.layout != measured.artifact.card.layout:
        return measured
    chosen = images[:: max(len(images) // LAYER_IMAGES, 1)][:LAYER_IMAGES]
    inputs = [each.network_input(image) for image in chosen]
    with bar(f"layers of {measured.label}", len(inputs)) as progress:
        errors = layer_errors((base.path, base.coverage), (measured.path, measured.coverage), inputs, progress.advance)
    return replace(measured, errors=tuple(errors), compared_with=base.label if errors else "")


def _setting(
    opened: Sequence[_Opened], annotations: Path, dataset: Dataset, threads: int | None, rounds: int
) -> dict[str, str]:
    """Say what the figures were taken on and how."""
    settings = [each.evaluator.task.setting for each in opened]
    samples = f"{len(dataset)} {opened[0].evaluator.terms.samples} in " if dataset.boxes else ""
    used = f"{threads} thread{'' if threads == 1 else 's'}" if threads else "each runtime's own number of threads"
    return {
        "data": f"{annotations.absolute().parent.name}/{annotations.name}, {samples}{len(dataset.images)} images",
        **({"boxes": f"{dataset.boxes}, no flip"} if dataset.boxes else {}),
        **{name: "; ".join(sorted({each[name] for each in settings})) for name in settings[0]},
        "machine": machine(),
        "latency": f"one image at a time, {used}, {rounds} rounds in turns",
    }
