"""The report's table, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgehr.converters.report.results import Column, QualityReport

NONE = "-"


@dataclass(frozen=True)
class Row:
    """A measure of every artifact.

    Attributes:
        name: Of the measure.
        cells: One for each column of the report.
        meaning: How it is defined, in one sentence.
    """

    name: str
    cells: tuple[str, ...]
    meaning: str


def table(report: QualityReport) -> list[Row]:
    """The rows; where a figure is not known the cell is a dash."""
    first = report.reference
    measures: list[tuple[str, Callable[[Column], str], str]] = [
        ("precision", lambda c: c.artifact.precision, "Of most weights, as read back from the file."),
        ("runtime", lambda c: c.runtime, "What the figures of this column were taken on."),
        ("size", lambda c: _size(c, first), "All files of the artifact, and their ratio to the first."),
        ("AP", lambda c: _accuracy(c, first), "COCO keypoint AP, and its difference to the first."),
        ("mean OKS with first", _oks, "OKS of its keypoints with the first's, those that the first scores above 0.2."),
        ("AP with first as truth", _own_ap, "COCO AP, the truth being the first's keypoints of a score above 0.2."),
        ("latency p50", lambda c: _latency(c, first), "Median of one image, in turns, and its ratio to the first."),
        ("latency p90", lambda c: f"{c.latency.p90_ms:.2f} ms", "What nine inferences in ten stay under."),
        ("multiply-adds", _macs, "Of convolutions and matrix products, counted in the file."),
        ("of them INT8", _share, "Those whose weights are of 8 bits, and whose data are or become so."),
        ("run in INT8 here", _executed, "Those that the CPU runs by an INT8 primitive, as OpenVINO tells."),
        ("operators", lambda c: NONE if c.operators is None else str(c.operators), "In the file, quantizers included."),
        ("stay in float", _float_count, "Operators that compute, and not in INT8."),
        ("layer SQNR", _noise, "Median and lowest signal-to-quantization-noise ratio of a layer's output."),
    ]
    rows = [Row(name, tuple(cell(c) for c in report.columns), meaning) for name, cell, meaning in measures]
    return [row for row in rows if set(row.cells) != {NONE}]


def _size(column: Column, first: Column) -> str:
    return f"{column.size_bytes / 1e6:.2f} MB{_ratio(column.size_bytes, first.size_bytes, column is first)}"


def _latency(column: Column, first: Column) -> str:
    return f"{column.latency.p50_ms:.2f} ms{_ratio(column.latency.p50_ms, first.latency.p50_ms, column is first)}"


def _ratio(value: float, base: float, is_base: bool) -> str:
    return "" if is_base else f" ({value / base:.2f}x)"


def _accuracy(column: Column, first: Column) -> str:
    difference = "" if column is first else f" ({100 * (column.accuracy.headline - first.accuracy.headline):+.1f})"
    return f"{100 * column.accuracy.headline:.1f}{difference}"


def _oks(column: Column) -> str:
    return NONE if column.agreement is None else f"{column.agreement.similarity:.4f}"


def _own_ap(column: Column) -> str:
    metric = column.agreement.metric if column.agreement else None
    return f"{100 * metric.headline:.1f}" if metric else NONE


def _macs(column: Column) -> str:
    return NONE if column.coverage is None else f"{column.coverage.macs / 1e6:.1f} M"


def _share(column: Column) -> str:
    return NONE if column.coverage is None else percent(column.coverage.int8_share)


def _executed(column: Column) -> str:
    executed = column.coverage.executed if column.coverage else None
    return NONE if executed is None else percent(executed)


def _float_count(column: Column) -> str:
    if column.coverage is None:
        return NONE
    return f"{sum(group.count for group in column.coverage.in_float)} of {len(column.coverage.nodes)}"


def _noise(column: Column) -> str:
    if not column.errors:
        return NONE
    values = sorted(error.sqnr_db for error in column.errors)
    return f"{values[len(values) // 2]:.1f}, {values[0]:.1f} dB"


def percent(share: float) -> str:
    """A share in per cent, never rounded up to 100 or down to 0."""
    if share != share:
        return NONE
    text = f"{100 * share:.1f}"
    return {"100.0": "100" if share == 1 else "> 99.9", "0.0": "0" if share == 0 else "< 0.1"}.get(text, text) + " %"
