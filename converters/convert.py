"""The whole way from a checkpoint, or a finished ONNX graph, to an artifact."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from edgehr.card import ModelCard, WeightsInfo
from edgehr.converters.compare import compare, comparison_batch, describe
from edgehr.converters.conversion_report import Listener, Report
from edgehr.converters.source import TorchOrigin, check_origin, open_origin
from edgehr.converters.target import Job, Target
from edgehr.converters.targets import make_target
from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, check_writable, sha256_file
from edgehr.runtimes.artifact import Artifact
from edgehr.zoo import is_published

# Mean difference to the origin, in standard deviations of its output, beyond which something is wrong. The largest is
# only reported: rounding alone takes single pixels far (PP-TinyPose's weights: PyTorch's float32 up to 2e-3 from its
# float64, OpenVINO's float16 up to 1.5, where the means are 3e-6 and 3e-3).
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
# Heatmaps are nearly empty, so that empty ones are not far off on average: INT8 must correlate with PyTorch. This finds
# a model that was destroyed; how much accuracy one lost only `edgehr eval` tells.
LEAST_CORRELATION = 0.6


def convert(
    card: ModelCard,
    weights: Path,
    target: str | Target,
    *,
    precision: str = "fp32",
    batch: int | None = 1,
    out: Path | None = None,
    images: Path | None = None,
    listener: Listener | None = None,
) -> Report:
    """Convert a checkpoint, compare the result with it on real images, and only then move it into place.

    Args:
        card: The model, at the wanted input size.
        weights: Its checkpoint; of a detector, its ONNX file.
        target: ``onnx``, ``openvino``, ``tensorrt``, ``trt-bundle``, ``tflite``, or a `Target` with its own settings.
        precision: ``fp32`` or ``fp16``; for ``tflite`` also ``dynamic-int8`` and ``int8``.
        batch: Images per inference, or None for any number.
        out: The artifact; by default `artifacts/<model>-<precision>` with the target's suffix.
        images: Folder of images to compare on; by default the photographs that ship with edgehr.
        listener: Told of each stage as it starts and ends.

    Raises:
        EdgehrError: A step failed; nothing is left behind, and an older artifact of that name stays as it was.
    """
    target = make_target(target) if isinstance(target, str) else target
    target.check(precision, batch)
    check_origin(card, target.name, needs_network=target.needs_network, plain=target.plain)
    path = out or default_path(card, target, precision, batch)
    if path.suffix != target.suffix:
        raise EdgehrError(f"{path}: the output for {target.name} must end in {target.suffix}")
    card = card.with_layout("nchw").with_weights(_weights_info(card, weights))
    crops = comparison_batch(card, images)
    check_writable(path)
    report = Report(card.name, f"{card.weights.file} ({card.weights.origin} weights)", path, target.name)

    with report.stage("load checkpoint", listener) as stage:
        origin = open_origin(card, weights)
        report.reference = origin.name
        stage.detail = report.weights
    model = target.build(Job(card, origin, precision, batch, crops), report, listener)
    with atomic_write(*target.files(path)) as temporary:
        with report.stage(f"write {target.name} {precision}", listener) as stage:
            tools = {name: version(name) for name in ("edgehr", *origin.tools, *target.tools)}
            form = ("plain" if target.plain else "deploy") if isinstance(origin, TorchOrigin) else ""
            artifact = target.described(Artifact(card, precision, card.weights.sha256, tools, form=form))
            report.precision = target.write(model, artifact, temporary[-1], report)
            report.size_bytes = sum(file.stat().st_size for file in temporary)
            stage.detail = f"{report.size_bytes / 1e6:.1f} MB, weights {report.precision}"
        if report.kept is not None and report.kept.rows:
            report.precision = precision  # most weights may have stayed in float, which the notes say
        if report.precision != precision:
            raise EdgehrError(
                f"{card.name}: asked for {precision}, but what came about has {report.precision} weights; "
                "it was not written"
            )
        with report.stage(f"compare with {origin.name}", listener) as stage:
            report.compared_on = describe(crops, images)
            with target.open(temporary[-1]) as converted:
                report.difference = compare(card, origin.reference, converted, crops)
            stage.detail = str(report.difference)
        _check_difference(report)
    return report


def default_path(card: ModelCard, target: Target, precision: str, batch: int | None) -> Path:
    """Where an artifact goes unless the user says otherwise."""
    suffix = {1: "", None: "-dynamic"}.get(batch, f"-batch{batch}")
    return Path("artifacts", f"{card.name}-{precision}{target.variant}{suffix}{target.suffix}")


def _weights_info(card: ModelCard, weights: Path) -> WeightsInfo:
    """The card's own weights if the file holds those, by its hash; otherwise a file of the user's."""
    if not weights.is_file():
        raise EdgehrError(f"{weights}: no such checkpoint file")
    digest = sha256_file(weights)
    known = card.weights
    if is_published(card, digest):
        return WeightsInfo(known.origin, known.file, known.url, digest, known.license, known.metric)
    return WeightsInfo("user", weights.name, sha256=digest)


def _check_difference(report: Report) -> None:
    difference = report.difference
    if difference is None:
        raise EdgehrError(
            f"{report.model}: the converted model was not compared with {report.reference}; it was not written"
        )
    limit = TOLERANCE.get(report.precision)
    if limit is None:
        if not difference.correlation >= LEAST_CORRELATION:  # also catches NaN
            raise EdgehrError(
                f"{report.model}: the quantized model's heatmaps correlate with PyTorch's by "
                f"{difference.correlation:.2f}, less than the {LEAST_CORRELATION:g} asked for; it was not written"
            )
        report.notes.append(
            f"quantized: the heatmaps correlate with PyTorch's by {difference.correlation:.3f}; `edgehr eval` measures "
            "what that costs"
        )
    elif not difference.relative_mean <= limit:
        raise EdgehrError(
            f"{report.model}: what was converted differs from {report.reference} by {difference.relative_mean:.2g} "
            f"standard deviations of its output on average, more than the {limit:g} allowed for {report.precision}; "
            "it was not written"
        )
