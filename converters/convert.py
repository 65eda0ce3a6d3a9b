"""The whole way from a checkpoint to an artifact."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from edgehr.card import ModelCard, WeightsInfo
from edgehr.converters.compare import compare
from edgehr.converters.crops import comparison_batch, describe
from edgehr.converters.export import export_onnx
from edgehr.converters.graph import embed, to_fp16, weight_precision
from edgehr.converters.report import Listener, Report
from edgehr.converters.simplify import simplify
from edgehr.converters.to_openvino import ir_nodes, ir_precision, save_ir, to_ir
from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, sha256_file
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes import load
from edgehr.runtimes.artifact import Artifact

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
PRECISIONS = ("fp32", "fp16")
# Mean difference to PyTorch, in standard deviations of its output, beyond which something is wrong. The largest is
# only reported: rounding alone takes single pixels far (PP-TinyPose's weights: PyTorch's float32 up to 2e-3 from its
# float64, OpenVINO's float16 up to 1.5, where the means are 3e-6 and 3e-3).
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}


def convert(
    card: ModelCard,
    weights: Path,
    target: str,
    *,
    precision: str = "fp32",
    batch: int | None = 1,
    out: Path | None = None,
    images: Path | None = None,
    listener: Listener | None = None,
) -> Report:
    """Convert a checkpoint, compare the result with PyTorch on real images, and only then move it into place.

    Args:
        card: The model, at the wanted input size.
        weights: Its checkpoint.
        target: ``onnx`` or ``openvino``.
        precision: ``fp32`` or ``fp16`` (input and output stay float32).
        batch: Images per inference, or None for any number.
        out: The artifact; by default `artifacts/<model>-<precision>` with the target's suffix.
        images: Folder of images to compare on; by default the photographs that ship with edgehr.
        listener: Told of each stage as it starts and ends.

    Raises:
        EdgehrError: A step failed; nothing is left behind, and an older artifact of that name stays as it was.
    """
    _check_options(target, precision, batch)
    path = out or default_path(card, target, precision, batch)
    if path.suffix != SUFFIXES[target]:
        raise EdgehrError(f"{path}: the output for {target} must end in {SUFFIXES[target]}")
    card = card.with_weights(_weights_info(card, weights))
    report = Report(card.name, f"{card.weights.file} ({card.weights.origin} weights)", path, target)

    with report.stage("load checkpoint", listener) as stage:
        reference = TorchRuntime(card, weights)
        stage.detail = report.weights
    with report.stage("export to ONNX", listener) as stage:
        model = export_onnx(reference.network, card, batch)
        report.nodes["exported"] = len(model.graph.node)
        stage.detail = f"opset {model.opset_import[0].version}, {len(model.graph.node)} nodes, checked"
    with report.stage("simplify", listener) as stage:
        model, failure = simplify(model)
        report.nodes["simplified"] = len(model.graph.node)
        stage.detail = failure or f"{len(model.graph.node)} nodes"
        if failure:
            report.notes.append(f"kept the unsimplified graph: {failure}")
    files = [path] if target == "onnx" else [path.with_suffix(".bin"), path]
    with atomic_write(*files) as temporary:
        with report.stage(f"write {target} {precision}", listener) as stage:
            report.precision = _write(model, card, temporary[-1], target, precision, report)
            report.size_bytes = sum(file.stat().st_size for file in temporary)
            stage.detail = f"{report.size_bytes / 1e6:.1f} MB, weights {report.precision}"
        with report.stage("compare with PyTorch", listener) as stage:
            crops = comparison_batch(card, images)
            report.compared_on = describe(crops, images)
            with load(temporary[-1]) as converted:
                report.difference = compare(card, reference, converted, crops)
            stage.detail = str(report.difference)
        _check_difference(report)
    return report


def default_path(card: ModelCard, target: str, precision: str, batch: int | None) -> Path:
    """Where an artifact goes unless the user says otherwise."""
    suffix = {1: "", None: "-dynamic"}.get(batch, f"-batch{batch}")
    return Path("artifacts", f"{card.name}-{precision}{suffix}{SUFFIXES[target]}")


def _check_options(target: str, precision: str, batch: int | None) -> None:
    if target not in SUFFIXES:
        raise EdgehrError(f"unknown target {target!r}: expected one of {', '.join(SUFFIXES)}")
    if precision not in PRECISIONS:
        raise EdgehrError(f"unknown precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
    if batch is not None and batch < 1:
        raise EdgehrError(f"batch must be at least 1 or dynamic, got {batch}")


def _weights_info(card: ModelCard, weights: Path) -> WeightsInfo:
    """The card's own weights if it is that file, by its hash; otherwise a file of the user's."""
    if not weights.is_file():
        raise EdgehrError(f"{weights}: no such checkpoint file")
    digest = sha256_file(weights)
    known = card.weights
    if known.sha256 and digest.startswith(known.sha256):
        return WeightsInfo(known.origin, known.file, known.url, digest, known.licence, known.metric)
    return WeightsInfo("user", weights.name, sha256=digest)


def _write(model: Any, card: ModelCard, path: Path, target: str, precision: str, report: Report) -> str:
    """Write the artifact's files and return the precision found in them."""
    names = ["edgehr", "torch", "onnx", "onnxsim", *(["openvino"] if target == "openvino" else ["onnxruntime"])]
    tools = {name: version(name) for name in names}
    sha256 = card.weights.sha256
    if target == "openvino":
        ir = to_ir(model)
        save_ir(ir, path, Artifact(card, precision, sha256, tools), fp16_weights=precision == "fp16")
        report.nodes["artifact"] = ir_nodes(ir)
        found = ir_precision(path)
    else:
        graph = to_fp16(model) if precision == "fp16" else model
        embed(graph, Artifact(card, precision, sha256, tools))
        onnx.save(graph, path)
        report.nodes["artifact"] = len(graph.graph.node)
        found = weight_precision(onnx.load(path))
    if found != precision:
        raise EdgehrError(f"{card.name}: asked for {precision}, but the file that was written has {found} weights")
    return found


def _check_difference(report: Report) -> None:
    difference = report.difference
    limit = TOLERANCE[report.precision]
    if difference is None or not difference.relative_mean <= limit:  # also catches NaN
        found = "nothing" if difference is None else f"{difference.relative_mean:.2g}"
        raise EdgehrError(
            f"{report.model}: the converted model differs from PyTorch by {found} standard deviations of its output on "
            f"average, more than the {limit:g} allowed for {report.precision}; it was not written"
        )
