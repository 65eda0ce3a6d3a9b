"""Conversions: from a checkpoint, or a finished ONNX graph, to an artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard, WeightsInfo
from edgehr.converters.compare import compare, comparison_batch, describe
from edgehr.converters.conversion_report import Listener, Progress, Report
from edgehr.converters.parts import MAIN, graphs_of, record_inputs
from edgehr.converters.source import Source, open_source
from edgehr.converters.target import Built, Target, Written, make_target
from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, check_writable, sha256_file
from edgehr.models.checkpoints.reading import check_is_file
from edgehr.runtimes.artifact import Artifact, Part, part_path
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors
from edgehr.tasks.difference import OutputDifference
from edgehr.zoo import is_packaged, is_published

# Mean difference to the source, in standard deviations of its output, beyond which something is wrong. The largest is
# only reported: rounding alone takes single pixels far (PP-TinyPose's weights: PyTorch's float32 up to 2e-3 from its
# float64, OpenVINO's float16 up to 1.5, where the means are 3e-6 and 3e-3).
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
# Heatmaps are nearly empty, so that empty ones are not far off on average: INT8 must correlate with PyTorch. This finds
# a model of any task that was destroyed; how much accuracy one lost only `edgehr eval` tells.
MIN_CORRELATION = 0.6


def convert(
    card: ModelCard,
    weights: Path,
    target: str | Target,
    *,
    out: Path | None = None,
    images: Path | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> Report:
    """Convert a checkpoint, compare the result with it on real images, and only then move it into place.

    Args:
        card: The model, at the wanted input size.
        weights: Its checkpoint; of a detector, its ONNX file.
        target: ``onnx``, ``openvino``, ``tensorrt``, ``trt-bundle``, ``tflite``, or a `Target` with options.
        out: The artifact; by default `artifacts/<model>-<precision>` with the target's suffix.
        images: Folder of images to compare on; by default the photographs that ship with edgehr.
        listener: Told of each stage as it starts and ends.
        options: Options of the target, see `edgehr.converters.target.Target`: ``precision``, ``batch``, ...

    Raises:
        EdgehrError: A step failed; nothing is left behind, and an older artifact of that name stays as it was.
    """
    target = make_target(target, **options)
    target.check()
    target.check_model(card)
    path = _artifact_path(card, target, out)
    card = card.with_layout("nchw").with_weights(_weights_info(card, weights))
    return _convert(card, lambda: open_source(card, weights), target, path, images, Progress(listener))


def convert_source(
    source: Source,
    target: str | Target,
    *,
    out: Path | None = None,
    images: Path | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> Report:
    """Convert a source that is open already; see `convert`."""
    target = make_target(target, **options)
    target.check()
    path = _artifact_path(source.card, target, out)
    return _convert(source.card, lambda: source, target, path, images, Progress(listener))


def default_path(card: ModelCard, target: Target) -> Path:
    """Return where an artifact goes unless the user says otherwise."""
    batch = {1: "", None: "-dynamic"}.get(target.batch, f"-batch{target.batch}")
    returns = "".join(f"-{name}" for name in ("labels", "probabilities") if card.parameters.get(name))
    return Path("artifacts", f"{card.name}-{target.precision}{target.variant}{returns}{batch}{target.suffix}")


def _artifact_path(card: ModelCard, target: Target, out: Path | None) -> Path:
    path = out or default_path(card, target)
    if path.suffix != target.suffix:
        raise EdgehrError(f"{path}: the output for {target.name} must end in {target.suffix}")
    return path


def _convert(
    card: ModelCard, load: Callable[[], Source], target: Target, path: Path, images: Path | None, progress: Progress
) -> Report:
    """Load, build, write and compare."""
    crops = comparison_batch(card, images)
    check_writable(path)
    weights = f"{card.weights.file} ({card.weights.origin} weights)"
    with progress.stage("load checkpoint") as stage:
        source = load()
        stage.detail = weights
    built = _build(source, target, crops, lambda reference: compare(card, reference, reference, crops), progress)
    files = {name: target.files(part_path(path, name)) for name in built}
    calibration = target.calibration if target.precision == "int8" else None
    manifest = [calibration.manifest_path(path)] if calibration else []
    with atomic_write(*manifest, *chain.from_iterable(files.values())) as temporary:
        with progress.stage(f"write {target.name} {target.precision}") as stage:
            places = {name: temporary[0].with_name(main.name) for name, (*_, main) in files.items()}
            written = _write(source, target, built, places)
            size = sum(file.stat().st_size for file in temporary[len(manifest) :])
            if calibration:
                temporary[0].write_bytes(calibration.manifest_file())
            stage.detail = f"{size / 1e6:.1f} MB, weights {written[MAIN].precision}"
        with progress.stage(f"compare with {source.name}") as stage:
            with written[MAIN].open() as converted:
                for name in source.parts:
                    converted.parts[name] = written[name].open()
                difference = compare(card, source.reference, converted, crops)
            stage.detail = str(difference)
        noted = check_difference(card.name, source.name, target.precision, difference)
    noted += [f"what it was calibrated on: {file}" for file in manifest]
    opens = written[MAIN].opens
    nodes: Counter[str] = Counter()
    notes = []
    for name in built:
        nodes.update({**built[name].nodes, **written[name].nodes})
        notes += [f"{name}: {note}" if name else note for note in (*built[name].notes, *written[name].notes)]
    return Report(
        model=card.name,
        weights=weights,
        path=path,
        target=target.name,
        reference=source.name,
        precision=target.precision,
        size_bytes=size,
        nodes=dict(nodes),
        difference=difference,
        compared_on=describe(crops, images),
        stages=progress.stages,
        notes=[*notes, *([f"compared with {source.name} by running {opens}"] if opens else []), *noted],
        float_blocks=built[MAIN].float_blocks,
    )


def _build(
    source: Source,
    target: Target,
    crops: NDArray[np.float32],
    run: Callable[[Runtime], object],
    progress: Progress,
) -> dict[str, Built]:
    """Build every graph of a model, by name; `run` runs the whole on the crops."""
    samples: dict[str, list[Tensors]] = {MAIN: [{source.card.input.name: crops}]}
    if source.parts:
        if not target.takes_parts:
            raise EdgehrError(
                f"{source.card.name} consists of {len(source.parts) + 1} graphs, which {target.name} does not write"
            )
        samples |= record_inputs(source.reference, run)
    return {
        name: _target_of(target, name).build(graph, samples[name], progress.of_part(name))
        for name, graph in graphs_of(source).items()
    }


def _target_of(target: Target, name: str) -> Target:
    """Return the target of a graph of a model."""
    return target.for_part() if name else target


def _write(source: Source, target: Target, built: Mapping[str, Built], paths: Mapping[str, Path]) -> dict[str, Written]:
    """Write every graph of a model, the main one last with what tells the others.

    Raises:
        EdgehrError: One of them did not come out in the precision that was asked for.
    """
    card = source.card
    artifact = Artifact(
        target.described(card),
        target.precision,
        card.weights.sha256,
        {name: version(name) for name in ("edgehr", *source.tools, *target.tools)},
        form=("plain" if target.plain else "deploy") if source.has_network else "",
        recipe=built[MAIN].recipe,
    )
    if target.calibration and target.precision == "int8":
        artifact = target.calibration.recorded(artifact)
    written = {}
    parts: dict[str, Part] = {}
    for name, each in built.items():
        own = _target_of(target, name)
        described = replace(artifact, part=name, precision=own.precision) if name else replace(artifact, parts=parts)
        written[name] = own.write(each, described, paths[name])
        found = written[name].precision
        # With blocks in float, most weights may have stayed there, which the notes say.
        if found != own.precision and not (each.float_blocks and each.float_blocks.rows):
            raise EdgehrError(
                f"{card.name}: asked for {own.precision}, but what came about has {found} weights; it was not written"
            )
        if name:
            parts[name] = Part(paths[name].name, sha256_file(paths[name]))
    return written


def _weights_info(card: ModelCard, weights: Path) -> WeightsInfo:
    """Describe the weights: the card's own if the file holds those, by its hash, or else a file of the user's."""
    check_is_file(weights)
    digest = sha256_file(weights)
    known = card.weights
    if is_published(card, digest):
        return known if is_packaged(card, digest) else replace(known, sha256=digest)
    return WeightsInfo("user", weights.name, sha256=digest)


def check_difference(model: str, reference: str, precision: str, difference: OutputDifference) -> list[str]:
    """Refuse a conversion that is too far from what it was made of.

    Returns:
        What the user should know of one that is not.

    Raises:
        EdgehrError: It is too far for its precision.
    """
    limit = TOLERANCE.get(precision)
    if limit is None:
        if not difference.correlation >= MIN_CORRELATION:  # also catches NaN
            raise EdgehrError(
                f"{model}: what the quantized model returns correlates with PyTorch's by "
                f"{difference.correlation:.2f}, less than the {MIN_CORRELATION:g} asked for; it was not written"
            )
        return [
            f"quantized: what it returns correlates with PyTorch's by {difference.correlation:.3f}; `edgehr eval` "
            "measures what that costs"
        ]
    if not difference.relative_mean <= limit:
        raise EdgehrError(
            f"{model}: what was converted differs from {reference} by {difference.relative_mean:.2g} "
            f"standard deviations of its output on average, more than the {limit:g} allowed for {precision}; "
            "it was not written"
        )
    return []
