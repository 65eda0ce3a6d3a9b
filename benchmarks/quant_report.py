"""Make the table of docs/research/quantization-experiments.md: INT8 by edgehr and by others.

    make quant-report [SHARED=../shared] [PEOPLE=N] [FRESH=1]

Artifacts are kept in out/quant-report and made anew where edgehr's converters or quantizers have changed since.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.other_quantizers import QUANTIZERS, float_convolutions, quantize_with
from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.dataset.held_out import refuse_held_out
from edgehr.calib.recipes import recipe_for
from edgehr.card import ModelCard
from edgehr.cli.common.output import progress_bar
from edgehr.converters.convert import convert
from edgehr.converters.report.measure import measure
from edgehr.converters.report.results import MeasuredArtifact
from edgehr.converters.target import Target, make_target
from edgehr.errors import EdgehrError
from edgehr.files import atomic_write
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.zoo import get_card

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out" / "quant-report"
MODELS = {
    "a": ("litehrnet-18-wider-naive-coco-256x192", "litehrnet_wider_naive_18_coco_256x192.safetensors"),
    "b": ("litehrnet-18-coco-256x192", "litehrnet_18_partly_trained.safetensors"),
}
CALIBRATION, EVALUATION = "coco-train2017-people", "coco-val2017-people"
ANNOTATIONS = "person_keypoints.json"
ROUNDS = 40  # timed inferences
# Packages whose versions the table names.
TOOLS = ("onnxruntime", "openvino", "nncf", "ai-edge-quantizer", "ai-edge-litert", "torch")


@dataclass(frozen=True)
class Format:
    """A kind of artifact.

    Attributes:
        label: What the table calls it.
        target: What float32 and INT8 are converted to.
        suffix: Of the files that are measured.
        others: Names of other quantizers, see `benchmarks.other_quantizers`.
    """

    label: str
    target: str
    suffix: str
    others: tuple[str, ...] = ()


def _of(tool: str) -> tuple[str, ...]:
    return tuple(name for name in QUANTIZERS if name.startswith(tool))


FORMATS = {
    "tensorrt": Format("ONNX, symmetric (TensorRT's graph)", "trt-bundle", ".onnx"),
    "onnx": Format("ONNX, unsigned where it can be", "onnx", ".onnx", _of("ort-")),
    "openvino": Format("OpenVINO", "openvino", ".xml", _of("nncf-")),
    "tflite": Format("TFLite", "tflite", ".tflite", _of("aeq-")),
}


@dataclass(frozen=True)
class Data:
    """The calibration set, the annotations to evaluate on, and how many of their people at least; 0 takes all."""

    calibration: CalibrationSet
    annotations: Path
    people: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the artifacts that are missing, measure all, print the table; returns the exit status."""
    args = _arguments(arguments)
    try:
        print(report(args.shared, args.out, args.models, args.formats, args.people, args.crops, fresh=args.fresh))
    except EdgehrError as error:
        print(f"quant-report: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="quant-report", description="INT8 by edgehr and by others, as a table.")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of data/ and weights/")
    parser.add_argument("--out", type=Path, default=OUT, help="where artifacts are kept")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--people", type=int, help="evaluate the images that hold the first so many people")
    parser.add_argument("--crops", type=int, default=300, help="calibration crops to choose from")
    parser.add_argument("--fresh", action="store_true", help="make all artifacts anew")
    return parser.parse_args(arguments)


def report(
    shared: Path,
    out: Path,
    models: Sequence[str],
    formats: Sequence[str],
    people: int | None,
    crops: int,
    *,
    fresh: bool,
) -> str:
    """Make the table as Markdown; raises EdgehrError where data is missing."""
    _check(shared, models, formats)
    calibration = CalibrationSet.of(shared / "data" / CALIBRATION / ANNOTATIONS, max_crops=crops)
    held_out = shared / "data" / EVALUATION / ANNOTATIONS
    refuse_held_out(calibration, held_out)
    data = Data(calibration, held_out, people or 0)
    rows: dict[tuple[str, str], dict[str, MeasuredArtifact]] = {}
    for model in models:
        name, weights = MODELS[model]
        for key in formats:
            paths = _make(get_card(name), shared / "weights" / weights, key, data, out / model, fresh=fresh)
            measured = measure(
                list(paths.values()), data.annotations, max_samples=data.people, rounds=ROUNDS, bar=progress_bar
            )
            for by, each in zip(paths, measured.artifacts, strict=True):
                rows.setdefault((FORMATS[key].label, by), {})[model] = each
    described = {
        model: f"`{MODELS[model][0]}` with {MODELS[model][1]}, decode {get_card(MODELS[model][0]).spec.decoding.method}"
        for model in models
    }
    setting = (
        f"{measured.reference.accuracy.counted} of {EVALUATION}, ground-truth boxes, no flip, decoded as the cards "
        f"say; calibrated on {calibration} of {CALIBRATION}. Agreement, size and time are beside float32 of the same "
        "format."
    )
    return markdown([Row(*labels, artifacts) for labels, artifacts in rows.items()], setting, described)


def _check(shared: Path, models: Sequence[str], formats: Sequence[str]) -> None:
    """Raise EdgehrError before the work for what would fail in it."""
    wanted = [shared / "data" / name / ANNOTATIONS for name in (CALIBRATION, EVALUATION)]
    wanted += [shared / "weights" / MODELS[model][1] for model in models]
    for path in wanted:
        if not path.is_file():
            raise EdgehrError(f"{path}: not there; SHARED= names the folder of data/ and weights/")
    if "openvino" in formats:
        try:
            import nncf  # noqa: F401
        except ImportError:
            raise EdgehrError("NNCF is not installed here: `make quant-report` runs this where it is") from None


def _make(card: ModelCard, weights: Path, key: str, data: Data, folder: Path, *, fresh: bool) -> Mapping[str, Path]:
    """Convert to a format where files are missing or old; returns them by who made them, the float32 one first."""
    form = FORMATS[key]
    paths = {"float32": folder / f"float32{form.suffix}", "edgehr": folder / f"{key}-edgehr{form.suffix}"}
    if fresh or _is_old(paths["float32"]):
        _say(f"{card.name}: float32, {form.label}")
        convert(card, weights, "onnx" if key == "tensorrt" else form.target, out=paths["float32"])
    if fresh or _is_old(paths["edgehr"]):
        _say(f"{card.name}: INT8 by edgehr, {form.label}")
        _convert_int8(card, weights, key, data.calibration, paths["edgehr"])
    start = folder / f"start-{key}{form.suffix}"
    for name in form.others:
        path = folder / f"{key}-{name}{form.suffix}"
        paths[str(QUANTIZERS[name])] = path
        if fresh or _is_old(path):
            if fresh or _is_old(start):
                _say(f"{card.name}: float32 as edgehr quantizes it, {form.label}")
                convert(card, weights, _in_recipe_form(card, make_target(form.target)), out=start)
            _say(f"{card.name}: INT8 by {name}, {form.label}")
            quantize_with(name, start, data.calibration, path, float_convolutions(paths["edgehr"], start))
    return paths


def _in_recipe_form(card: ModelCard, target: Target) -> Target:
    """Return a target whose float32 has the form that edgehr quantizes, not the one that is fastest in float."""
    form, kind = recipe_for(card, target.recipe_kind).form, type(target)
    return type(kind.__name__, (kind,), {"form": lambda self: form})()


def _convert_int8(card: ModelCard, weights: Path, key: str, calibration: CalibrationSet, path: Path) -> None:
    target = make_target(FORMATS[key].target, precision="int8", calibration=calibration)
    if key != "tensorrt":
        convert(card, weights, target, out=path)
        return
    bundle = path.with_suffix(target.suffix)
    convert(card, weights, target, out=bundle)
    with atomic_write(path) as (temporary,):
        temporary.write_bytes(Bundle.read(bundle).onnx)


def _is_old(path: Path) -> bool:
    """Tell whether a file is not there, or older than what makes it."""
    if not path.is_file():
        return True
    sources = [file for folder in ("calib", "converters") for file in (ROOT / folder).rglob("*.py")]
    return path.stat().st_mtime < max(file.stat().st_mtime for file in sources)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Row:
    """One line: a kind of artifact, who made it, and what was measured for each model."""

    form: str
    by: str
    artifacts: Mapping[str, MeasuredArtifact]


def markdown(rows: Sequence[Row], people: str, models: Mapping[str, str]) -> str:
    """Write measured artifacts as a Markdown table, under what they were measured on.

    Args:
        rows: Its lines; those that follow a float32 one of the same kind are compared with it.
        people: What was measured on what, in words.
        models: What is to be said of each model, by the letter that the table gives it.
    """
    headers = ["", "by"]
    for model in models:
        headers += [f"{name} ({model})" for name in ("AP", "mean OKS", "AP with float as truth")]
    listed = ", ".join(f"({model})" for model in models)
    headers += [f"{what} {listed}" for what in ("size", "multiply-adds in INT8", "time")]
    lines = [headers, ["---"] * len(headers), *_lines(rows, list(models))]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    described = [f"({model}) {what}." for model, what in models.items()]
    return "\n".join([people, *described, f"Versions: {_versions(rows)}.", "", table])


def _lines(rows: Sequence[Row], models: Sequence[str]) -> list[list[str]]:
    lines, reference = [], rows[0]
    for row in rows:
        if row.by == "float32":
            reference = row
        cells = [row.form, row.by]
        for model in models:
            agreement = row.artifacts[model].agreement
            cells.append(f"{100 * row.artifacts[model].accuracy.headline:.2f}")
            cells.append(f"{agreement.similarity:.3f}" if agreement else "")
            cells.append(f"{100 * agreement.metric.headline:.1f}" if agreement and agreement.metric else "")
        sizes = [f"{row.artifacts[m].size_bytes / reference.artifacts[m].size_bytes:.2f}" for m in models]
        shares = [row.artifacts[model].coverage for model in models]
        listed = [f"{each.int8_share:.1%}".replace("%", " %") if each else "-" for each in shares]
        times = [f"{row.artifacts[m].latency.p50_ms / reference.artifacts[m].latency.p50_ms:.2f}" for m in models]
        lines.append([*cells, ", ".join(sizes), ", ".join(listed), ", ".join(times)])
    return lines


def _versions(rows: Sequence[Row]) -> str:
    tools = [artifact.artifact.tools for row in rows for artifact in row.artifacts.values()]
    known = {name: number for each in tools for name, number in each.items()}
    return ", ".join(f"{name} {known[name]}" for name in ("edgehr", *TOOLS) if name in known)


if __name__ == "__main__":
    sys.exit(main())
