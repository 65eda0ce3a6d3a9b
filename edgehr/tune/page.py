"""Write what a search found as one HTML file that needs nothing else."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from edgehr.benchmark.markup import COLORS, WIDTH, document, figure, pairs, remark, svg, table, ticks, write_document
from edgehr.tune.results import CHOSEN, FRONTIER, Tried, TuneReport
from edgehr.tune.table import answer, left_out, rows

_HEIGHT = 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, WIDTH - 20, 16, _HEIGHT - 50


def write_page(report: TuneReport, path: Path) -> None:
    """Write the page, whole or not at all; raises EdgehrError where that is not possible."""
    write_document(path, page(report))


def page(report: TuneReport) -> str:
    """Make the page as text."""
    caption = (
        f"Time of a frame, milliseconds on a logarithmic scale, and {report.points} with the standard error of the "
        "drop, by the number in the table. The line joins those that nothing beats in both; dashes are the limits."
    )
    parts = [
        "<h1>Time and accuracy</h1>",
        *(f'<p class="answer">{escape(line)}</p>' for line in answer(report)),
        *map(remark, report.remarks),
        pairs(report.setting.items()),
        figure(_frontier(report), caption),
        table(*rows(report)),
        *(["<h2>Left out</h2>", table(*others)] if (others := left_out(report))[1] else []),
        "<footer>Found by <code>edgehr tune</code></footer>",
    ]
    return document("Time and accuracy", parts)


def _frontier(report: TuneReport) -> str:
    finalists, limits = report.finalists, report.limits
    times = [each.ms for each in finalists if each.ms] + [value for value in (limits.budget_ms,) if value]
    errors = [_error(report, each) for each in finalists]
    values = [
        100 * each.value + sign * error for each, error in zip(finalists, errors, strict=True) for sign in (-1, 1)
    ]
    least = 100 * report.reference.value - limits.max_drop if limits.max_drop is not None else None
    values += [least] if least is not None else []
    low, high = math.log(min(times) / 1.15), math.log(max(times) * 1.15)
    margin = max((max(values) - min(values)) * 0.1, 0.5)
    bottom, top = min(values) - margin, max(values) + margin

    def x(ms: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (math.log(ms) - low) / (high - low)

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - bottom) / (top - bottom)

    parts = []
    for value in ticks(bottom, top, 6):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_RIGHT}"/>')
        parts.append(f'<text class="faint" x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for ms in ticks(math.exp(low), math.exp(high), 6):
        parts.append(f'<path class="grid" d="M{x(ms):.1f} {_TOP}V{_BOTTOM}"/>')
        parts.append(f'<text class="faint" x="{x(ms):.1f}" y="{_BOTTOM + 22}" text-anchor="middle">{ms:g}</text>')
    if least is not None:
        parts.append(f'<path class="limit" d="M{_LEFT} {y(least):.1f}H{_RIGHT}"/>')
    if limits.budget_ms is not None:
        parts.append(f'<path class="limit" d="M{x(limits.budget_ms):.1f} {_TOP}V{_BOTTOM}"/>')
    best = [each for each in finalists if each.standing in (FRONTIER, CHOSEN)]
    points = " ".join(f"{x(each.ms or 1):.1f},{y(100 * each.value):.1f}" for each in best)
    parts.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[0]}" stroke-width="2"/>')
    unit = (_BOTTOM - _TOP) / (top - bottom)
    for number, each in enumerate(finalists, 1):
        parts += _point(report, each, number, x(each.ms or 1), y(100 * each.value), unit)
    return svg(_HEIGHT, "Time and accuracy of the finalists", parts)


def _point(report: TuneReport, each: Tried, number: int, x: float, y: float, unit: float) -> list[str]:
    """Draw a finalist with its error bar, and its number in the table, above and below in turns."""
    error = unit * _error(report, each)
    color = COLORS[4] if each.standing == CHOSEN else COLORS[0] if each.standing == FRONTIER else COLORS[7]
    label = y - error - 14 if number % 2 else y + error + 26
    return [
        f'<path d="M{x:.1f} {y - error:.1f}V{y + error:.1f}" stroke="{color}" stroke-width="1.5"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{8 if each.standing == CHOSEN else 5}" fill="{color}">'
        f"<title>{escape(f'{each.variant.model.size} {each.variant.name}')}</title></circle>",
        f'<text x="{x:.1f}" y="{label:.1f}" text-anchor="middle">{number}</text>',
    ]


def _error(report: TuneReport, each: Tried) -> float:
    """Return the standard error of a drop, in points, as far as it is known."""
    drop = report.drop(each)
    return drop[1] or 0.0 if drop else 0.0
