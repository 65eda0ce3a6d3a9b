"""Measuring artifacts of one model beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.converters.report.labels import short_labels
from edgehr.converters.report.latency import Latency, interleaved
from edgehr.converters.report.layer_error import LayerError, layer_errors
from edgehr.converters.report.machine import machine, runtime_version
from edgehr.converters.report.pictures import pictures
from edgehr.converters.report.results import Column, Picture, QualityReport
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Dataset, Evaluator, ImageSample
from edgehr.evaluation.overlap import refuse_calibrated
from edgehr.runtimes import Artifact, Runtime, load
from edgehr.runtimes.coverage import Coverage
from edgehr.runtimes.formats import format_of
from edgehr.tasks.base import Task
from edgehr.tasks.image.reading import read_image
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import PoseSpec

LAYER_CROPS = 4
_PAUSE_S = 0.03
_WARM_UP = 5

# Shows progress: of a stage's name and its number of steps, a context that yields a function of the steps done.
Bar = Callable[[str, int], AbstractContextManager[Callable[[int, int | None], None]]]


@contextmanager
def no_bar(_label: str, _total: int) -> Iterator[Callable[[int, int | None], None]]:
    """Shows nothing."""
    yield lambda done, total: None


@dataclass(frozen=True)
class _Opened:
    """An artifact that is open."""

    label: str
    path: Path
    runtime: Runtime
    artifact: Artifact

    @property
    def card(self) -> ModelCard:
        return self.artifact.card


def measure(
    paths: Sequence[Path],
    annotations: Path,
    folder: Path | None = None,
    *,
    max_samples: int = 0,
    threads: int | None = None,
    rounds: int = 50,
    bar: Bar = no_bar,
) -> QualityReport:
    """Measure artifacts of one model on annotated people: ground-truth boxes, no flip, decoded as each card says.

    Args:
        paths: The artifacts, the float32 one first: the others are compared with it.
        annotations: The annotation file.
        folder: Its images; by default where such files have them.
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
        opened = _open(paths, threads, stack)
        evaluator = Evaluator.for_card(opened[0].card)
        for other in opened:
            evaluator.check_comparable(other.card)
        dataset = evaluator.read(annotations, folder, max_samples=max_samples)
        images = dataset.images
        refuse_calibrated([each.artifact for each in opened], [image.path for image in images])
        coverages = [format_of(path).coverage(path) for path in paths]
        poses = _poses(opened, images, bar)
        latencies = _latencies(opened, images[0], rounds, bar)
        columns = [
            _column(opened, number, coverages[number], dataset, poses, latencies[number])
            for number in range(len(paths))
        ]
    columns = _with_errors(columns, images, bar)
    return QualityReport(
        model=columns[0].artifact.card.name,
        setting=_setting(columns, annotations, dataset, threads, rounds),
        columns=tuple(columns),
        pictures=tuple(_pictures(columns, images, poses)),
    )


def _open(paths: Sequence[Path], threads: int | None, stack: ExitStack) -> list[_Opened]:
    found = []
    for label, path in zip(short_labels(paths), paths, strict=True):
        runtime = stack.enter_context(load(path, threads=threads))
        found.append(_Opened(label, path, runtime, runtime.require_artifact()))
    return found


def _poses(opened: Sequence[_Opened], images: Sequence[ImageSample], bar: Bar) -> list[list[Poses]]:
    """Of each artifact the poses in each image."""
    found = []
    for each in opened:
        with bar(f"evaluating {each.label}", sum(len(image.boxes) for image in images)) as advance:
            count = _Counter(advance)
            found.append(Evaluator.for_card(each.card).predict(each.runtime, images, progress=count.add))
    return found


class _Counter:
    """Adds up steps for a bar."""

    def __init__(self, advance: Callable[[int, int | None], None]) -> None:
        self._advance, self._done = advance, 0

    def add(self, steps: int = 1) -> None:
        self._done += steps
        self._advance(self._done, None)


def _latencies(opened: Sequence[_Opened], image: ImageSample, rounds: int, bar: Bar) -> list[Latency]:
    calls, sizes = {}, {}
    for each in opened:
        spec = each.runtime.inputs[0]
        crop = _crop(each.card, image)
        sizes[each.label] = spec.shape[0] or max(each.runtime.batch_range[0], 1)
        fed = {spec.name: np.repeat(crop[None], sizes[each.label], axis=0).astype(spec.dtype)}
        calls[each.label] = lambda runtime=each.runtime, fed=fed: runtime.infer(fed)
    with bar("timing", rounds) as advance:
        times = interleaved(calls, rounds, _WARM_UP, _PAUSE_S, _Counter(advance).add)
    return [Latency.of(times[each.label], sizes[each.label]) for each in opened]


def _crop(card: ModelCard, image: ImageSample) -> NDArray[np.float32]:
    """The first person of an image as a model takes it, without the batch."""
    crop: NDArray[np.float32] = Task.for_card(card).network_inputs(read_image(image.path), image.boxes[:1])[0]
    return crop


def _column(
    opened: Sequence[_Opened],
    number: int,
    coverage: Coverage | None,
    dataset: Dataset,
    poses: list[list[Poses]],
    latency: Latency,
) -> Column:
    each, evaluator = opened[number], Evaluator.for_card(opened[0].card)
    pairs = zip(dataset.images, poses[0], poses[number], strict=True)
    counts = format_of(each.path).operators(each.path) if coverage else None
    return Column(
        label=each.label,
        path=each.path,
        artifact=each.artifact,
        runtime=f"{runtime_version(each.runtime.backend)} {each.runtime.device}",
        size_bytes=sum(file.stat().st_size for file in format_of(each.path).files(each.path)),
        operators=None if counts is None else sum(counts.values()),
        coverage=coverage,
        accuracy=Evaluator.for_card(each.card).score(dataset, poses[number]),
        agreement=evaluator.agreement(dataset.images, poses[0], poses[number]) if number else None,
        similarity=np.concatenate([evaluator.similarities(*three) for three in pairs]),
        latency=latency,
    )


def _with_errors(columns: list[Column], images: Sequence[ImageSample], bar: Bar) -> list[Column]:
    """The columns with each layer's error, where a float32 artifact of the same kind is among them."""
    result = []
    for column in columns:
        base = next(
            (c for c in columns if format_of(c.path) is format_of(column.path) and c.artifact.precision == "fp32"), None
        )
        if base is None or base is column or not (base.coverage and column.coverage):
            result.append(column)
            continue
        errors = _errors(base, column, images, bar)
        result.append(replace(column, errors=tuple(errors), compared_with=base.label if errors else ""))
    return result


def _errors(base: Column, column: Column, images: Sequence[ImageSample], bar: Bar) -> list[LayerError]:
    if base.artifact.card.layout != column.artifact.card.layout:
        return []
    assert base.coverage is not None  # noqa: S101 - the caller has looked
    assert column.coverage is not None  # noqa: S101
    step = max(len(images) // LAYER_CROPS, 1)
    crops = [_crop(column.artifact.card, image) for image in images[::step][:LAYER_CROPS]]
    with bar(f"layers of {column.label}", len(crops)) as advance:
        return layer_errors((base.path, base.coverage), (column.path, column.coverage), crops, _Counter(advance).add)


def _pictures(
    columns: Sequence[Column], images: Sequence[ImageSample], poses: Sequence[Sequence[Poses]]
) -> list[Picture]:
    """Of every quantized artifact; of the last one where none is."""
    numbers = [number for number, column in enumerate(columns) if number and column.quantized] or [len(columns) - 1]
    keypoints = columns[0].artifact.card.spec_as(PoseSpec).keypoints
    found = []
    for number in numbers:
        people = list(zip(images, poses[0], poses[number], strict=True))
        found += pictures(columns[number].label, keypoints, people, columns[number].similarity)
    return found


def _setting(
    columns: Sequence[Column],
    annotations: Path,
    dataset: Dataset,
    threads: int | None,
    rounds: int,
) -> dict[str, str]:
    settings = [Evaluator.for_card(column.artifact.card).task.setting for column in columns]
    people = f"{len(dataset)} people in " if dataset.boxes else ""
    return {
        "data": f"{annotations.parent.name}/{annotations.name}, {people}{len(dataset.images)} images",
        **({"boxes": f"{dataset.boxes}, no flip"} if dataset.boxes else {}),
        **{name: "; ".join(sorted({each[name] for each in settings})) for name in settings[0]},
        "machine": machine(),
        "latency": f"one image at a time, {_threads(threads)}, {rounds} rounds in turns",
    }


def _threads(number: int | None) -> str:
    if number is None:
        return "each runtime's own number of threads"
    return f"{number} thread{'' if number == 1 else 's'}"
