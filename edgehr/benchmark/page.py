"""Write a measurement as one HTML file that needs nothing else: no network, no scripts, no further packages."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from edgehr.benchmark.markup import COLORS, WIDTH, document, figure, pairs, remark, svg, table, ticks, write_document
from edgehr.benchmark.results import BenchReport, Measured
from edgehr.benchmark.table import SHOWN_OPERATORS, answer, by_kind, rows

_ROW, _TOP = 76, 8
_BINS = 90
_LEFT, _RIGHT = 10, 890


def write_page(report: BenchReport, path: Path) -> None:
    """Write the page, whole or not at all; raises EdgehrError where that is not possible."""
    write_document(path, page(report))


def page(report: BenchReport) -> str:
    """Make the page as text."""
    parts = [
        "<h1>Latency</h1>",
        *(f'<p class="answer">{escape(line)}</p>' for line in answer(report)),
        *map(remark, report.remarks),
        pairs(report.setting.items()),
        table(*rows(report), _colors(report)),
        "<h2>Distribution</h2>",
        figure(
            _distribution(report),
            "How often an inference took how long, milliseconds an image; the line is the median.",
        ),
        "<h2>In the course of the run</h2>",
        figure(_course(report), "The median of each turn, milliseconds an image, from the first round to the last."),
        *_comparisons(report),
        *_operators(report),
        "<h2>State of the machine</h2>",
        _state(report.state),
        "<footer>Measured by <code>edgehr bench</code></footer>",
    ]
    return document("Latency", parts)


def _colors(report: BenchReport) -> dict[str, str]:
    return {each.name: COLORS[place % len(COLORS)] for place, each in enumerate(report.ranked)}


def _per_image(each: Measured) -> np.ndarray:
    return np.asarray(each.times_ms / each.images)


def _distribution(report: BenchReport) -> str:
    """Draw a histogram of each candidate above a common axis, which leaves the slowest in a hundred out."""
    ranked, colors = report.ranked, _colors(report)
    low = min(float(_per_image(each).min()) for each in ranked)
    high = max(float(np.percentile(_per_image(each), 99)) for each in ranked)
    high = max(high, low * 1.02)
    height = _TOP + _ROW * len(ranked) + 30

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (min(max(value, low), high) - low) / (high - low)

    parts = [_axis(low, high, x, height - 30)]
    for place, each in enumerate(ranked):
        times, base = _per_image(each).ravel(), _TOP + _ROW * (place + 1)
        counts, edges = np.histogram(np.clip(times, low, high), _BINS, (low, high))
        heights = (_ROW - 34) * counts / max(counts.max(), 1)
        bars = "".join(
            f"M{x(left):.1f} {base}V{base - size:.1f}H{x(right):.1f}V{base}Z"
            for left, right, size in zip(edges[:-1], edges[1:], heights, strict=True)
            if size
        )
        middle = x(each.latency.p50_ms)
        parts.append(f'<path d="{bars}" fill="{colors[each.name]}"><title>{escape(each.name)}</title></path>')
        parts.append(f'<path d="M{middle:.1f} {base}V{base - _ROW + 32}" stroke="currentColor" stroke-width="2"/>')
        label = f"{each.name}: {each.latency.p50_ms:.2f}"
        parts.append(f'<text x="{_LEFT}" y="{base - _ROW + 22}">{escape(label)}</text>')
    return svg(height, "Distribution of the time of an inference", parts)


def _course(report: BenchReport) -> str:
    """Draw the median of each turn of each candidate in the order in which they were taken."""
    medians = {each.name: np.median(_per_image(each), axis=1) for each in report.ranked}
    low = min(float(values.min()) for values in medians.values())
    high = max(float(np.percentile(values, 98)) for values in medians.values())
    high = max(high, low * 1.02)
    height = 240

    def y(value: float) -> float:
        return height - 30 - (height - 50) * (min(max(value, low), high) - low) / (high - low)

    parts = []
    for value in ticks(low, high, 4):
        parts.append(f'<path class="grid" d="M{_LEFT + 50} {y(value):.1f}H{_RIGHT}"/>')
        parts.append(f'<text class="faint" x="{_LEFT + 44}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for name, values in medians.items():
        places = np.linspace(_LEFT + 56, _RIGHT, len(values)) if len(values) > 1 else [WIDTH / 2]
        points = " ".join(f"{place:.1f},{y(float(value)):.1f}" for place, value in zip(places, values, strict=True))
        line = f'<polyline points="{points}" fill="none" stroke="{_colors(report)[name]}" stroke-width="1.5">'
        parts.append(f"{line}<title>{escape(name)}</title></polyline>")
    return svg(height, "Time of an inference in the course of the run", parts)


def _axis(low: float, high: float, x: Any, y: float) -> str:
    parts = [f'<path class="grid" d="M{_LEFT} {y}H{_RIGHT}"/>']
    for value in ticks(low, high, 5):
        parts.append(f'<path class="grid" d="M{x(value):.1f} {_TOP}V{y + 5}"/>')
        parts.append(f'<text class="faint" x="{x(value):.1f}" y="{y + 24}" text-anchor="middle">{value:g}</text>')
    return "".join(parts)


def _comparisons(report: BenchReport) -> list[str]:
    if not report.comparisons:
        return []
    cells = [
        [
            each.second,
            each.first,
            f"{each.ratio:.3f}",
            f"{each.low:.3f} to {each.high:.3f}",
            f"{each.p:.2g}",
            each.verdict,
        ]
        for each in report.comparisons
    ]
    text = (
        f"Time of the one as a multiple of the other's, with its 95 % confidence interval. {report.test}. Only "
        f"differences of {100 * report.min_difference:.2g} % and more count."
    )
    headers = ["", "against", "time", "interval", "p", "verdict"]
    return ["<h2>Pairs</h2>", f"<p>{escape(text)}</p>", table(headers, cells)]


def _operators(report: BenchReport) -> list[str]:
    found = [each for each in report.ranked if each.operators or each.remark]
    parts = (
        ["<h2>Operators</h2>", "<p>Times are taken with a clock in the model, which slows it down.</p>"]
        if found
        else []
    )
    for each in found:
        if each.remark:
            parts.append(f"<p>{escape(each.name)}: {escape(each.remark)}</p>")
            continue
        total = sum(one.ms for one in each.operators)
        kinds = [[kind, count, f"{ms:.3f}", f"{ms / total:.1%}"] for kind, count, ms in by_kind(each.operators)]
        longest = [
            [one.name, one.kind, one.kernel, f"{one.ms:.3f}", f"{one.ms / total:.1%}"]
            for one in each.operators[: 3 * SHOWN_OPERATORS]
        ]
        parts.append(
            f"<details><summary>{escape(each.name)}: {total:.2f} ms in {len(each.operators)} operators</summary>"
        )
        parts.append(table(["type", "operators", "ms", "share"], kinds[:SHOWN_OPERATORS]))
        parts.append(table(["longest", "type", "kernel", "ms", "share"], longest))
        parts.append("</details>")
    return parts


def _state(state: dict[str, Any]) -> str:
    """List what the machine told, before and after."""
    before, after = state["before"], state["after"]
    cells = [
        [name.replace("_", " "), _written(before[name]), _written(after[name])]
        for name in before
        if _written(before[name]) != "-" or _written(after[name]) != "-"
    ]
    use = state["use"]
    said = [f"measured for {use['seconds']:.0f} s"]
    if use["others"] is not None:
        said.append(f"other programs kept {use['others']:.2f} cores busy")
    if use["stolen"] is not None:
        said.append(f"a virtual machine's host took {use['stolen']:.1%} of the time")
    return table(["", "before", "after"], cells) + f"<p>{escape('; '.join(said))}.</p>"


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each:.0f} °C" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value) if value not in (None, "") else "-"
