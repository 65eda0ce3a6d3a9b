"""The report's table, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgehr.converters.report.results import MeasuredArtifact, QualityReport

NONE = "-"


@dataclass(frozen=True)
class Row:
    """A measure of every artifact.

    Attributes:
        name: Of the measure.
        cells: One for each artifact of the report.
        meaning: How it is defined, in one sentence.
    """

    name: str
    cells: tuple[str, ...]
    meaning: str


def table(report: QualityReport) -> list[Row]:
    """Make the rows; where a figure is not known the cell is a dash, and rows of dashes are left out."""
    measures = [*_files(report), *_accuracy(report), *_latency(report), *_INT8]
    rows = [Row(name, tuple(cell(each) for each in report.artifacts), meaning) for name, cell, meaning in measures]
    return [row for row in rows if set(row.cells) != {NONE}]


# A row's name, what it shows of an artifact, and its meaning.
_Measure = tuple[str, Callable[[MeasuredArtifact], str], str]


def _files(report: QualityReport) -> list[_Measure]:
    base = report.reference.size_bytes

    def size(each: MeasuredArtifact) -> str:
        ratio = "" if each is report.reference else f" ({each.size_bytes / base:.2f}x)"
        return f"{each.size_bytes / 1e6:.2f} MB{ratio}"

    return [
        ("precision", lambda each: each.artifact.precision, "Of most weights, as read back from the file."),
        ("runtime", lambda each: each.runtime, "What the figures of this column were taken on."),
        ("size", size, "All files of the artifact, and their ratio to the first."),
    ]


def _accuracy(report: QualityReport) -> list[_Measure]:
    terms, base = report.terms, report.reference.accuracy.headline

    def accuracy(each: MeasuredArtifact) -> str:
        value, decimals = each.accuracy.headline, each.accuracy.decimals
        difference = "" if each is report.reference else f" ({100 * (value - base):+.{decimals}f})"
        return f"{100 * value:.{decimals}f}{difference}"

    def similarity(each: MeasuredArtifact) -> str:
        value = float("nan") if each.agreement is None else each.agreement.similarity
        return NONE if value != value else f"{value:.4f}"

    def relative(each: MeasuredArtifact) -> str:
        metric = each.agreement.metric if each.agreement else None
        return NONE if metric is None else f"{100 * metric.headline:.{metric.decimals}f}"

    return [
        (report.metric, accuracy, f"{terms.metric}, and its difference to the first."),
        (f"mean {terms.similarity} with first", similarity, terms.similarity_meaning),
        (f"{report.metric} with first as truth", relative, terms.relative_meaning),
    ]


def _latency(report: QualityReport) -> list[_Measure]:
    base = report.reference.latency.p50_ms

    def p50(each: MeasuredArtifact) -> str:
        ratio = "" if each is report.reference else f" ({each.latency.p50_ms / base:.2f}x)"
        return f"{each.latency.p50_ms:.2f} ms{ratio}"

    return [
        ("latency p50", p50, "Median of one image, in turns, and its ratio to the first."),
        ("latency p90", lambda each: f"{each.latency.p90_ms:.2f} ms", "What nine inferences in ten stay under."),
    ]


def _executed(each: MeasuredArtifact) -> str:
    executed = each.coverage.executed if each.coverage else None
    return NONE if executed is None else percent(executed)


def _float_count(each: MeasuredArtifact) -> str:
    if each.coverage is None:
        return NONE
    return f"{sum(group.count for group in each.coverage.in_float)} of {len(each.coverage.nodes)}"


def _noise(each: MeasuredArtifact) -> str:
    if not each.errors:
        return NONE
    values = sorted(error.sqnr_db for error in each.errors)
    return f"{values[len(values) // 2]:.1f}, {values[0]:.1f} dB"


_INT8: list[_Measure] = [
    (
        "multiply-adds",
        lambda each: f"{each.coverage.macs / 1e6:.1f} M" if each.coverage else NONE,
        "Of convolutions and matrix products, counted in the file.",
    ),
    (
        "of them INT8",
        lambda each: percent(each.coverage.int8_share) if each.coverage else NONE,
        "Those whose weights are of 8 bits, and whose data are or become so.",
    ),
    ("run in INT8 here", _executed, "Those that the CPU runs by an INT8 primitive, as OpenVINO tells."),
    (
        "operators",
        lambda each: NONE if each.operators is None else str(each.operators),
        "In the file, quantizers included.",
    ),
    ("stay in float", _float_count, "Operators that compute, and not in INT8."),
    ("layer SQNR", _noise, "Median and lowest signal-to-quantization-noise ratio of a layer's output."),
]


def percent(share: float) -> str:
    """Write a share in per cent, never rounded up to 100 or down to 0."""
    if share != share:
        return NONE
    text = f"{100 * share:.1f}"
    return {"100.0": "100" if share == 1 else "> 99.9", "0.0": "0" if share == 0 else "< 0.1"}.get(text, text) + " %"
