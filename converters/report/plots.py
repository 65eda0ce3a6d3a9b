"""The report's plots, as SVG elements for its page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import numpy as np

from edgehr.converters.report.results import Column, QualityReport
from edgehr.converters.report.table import NONE

# Told apart with color-blind eyes too (Okabe and Ito), on white and on black.
COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b3a100", "#999999")
# A color that nothing else has, in the place of the page's text color.
INK = "#123456"
_PANELS_PER_ROW = 3
_WIDTH = 10.0  # inches, of which the page shows as many as fit


def overview(report: QualityReport) -> str:
    """Bars of size, latency, accuracy, agreement and coverage, as SVG."""
    panels = [panel for panel in _panels(report) if any(value is not None for value in panel[1])]
    columns = report.columns
    rows = -(-len(panels) // _PANELS_PER_ROW)
    with drawing("overview") as pyplot:
        height = rows * (0.75 + 0.3 * len(columns))
        figure, axes = pyplot.subplots(
            rows, _PANELS_PER_ROW, figsize=(_WIDTH, height), squeeze=False, layout="constrained"
        )
        for place, axis in enumerate(axes.flat):
            if place < len(panels):
                _bars(axis, *panels[place], [column.label for column in columns], first=place % _PANELS_PER_ROW == 0)
            else:
                axis.set_axis_off()
        told = "; ".join(f"{title}: {_listed(values, show, columns)}" for title, values, show in panels)
        return as_svg(figure, f"Bars. {told}")


Panel = tuple[str, list[float | None], Callable[[float], str]]


def _panels(report: QualityReport) -> list[Panel]:
    """Title, value of each column, and how a value is written."""
    columns = report.columns
    agreed = [column.agreement for column in columns]
    own = [each.metric if each else None for each in agreed]
    return [
        ("size, MB", [column.size_bytes / 1e6 for column in columns], "{:.2f}".format),
        ("latency p50, ms", [column.latency.p50_ms for column in columns], "{:.1f}".format),
        ("AP", [100 * column.accuracy.headline for column in columns], "{:.1f}".format),
        ("mean OKS with first", [each.similarity if each else None for each in agreed], "{:.3f}".format),
        (
            "AP with first as truth",
            [100 * each.headline if each else None for each in own],
            "{:.1f}".format,
        ),
        (
            "multiply-adds in INT8, %",
            [100 * column.coverage.int8_share if column.coverage else None for column in columns],
            "{:.1f}".format,
        ),
    ]


def _bars(
    axis: Any,
    title: str,
    values: Sequence[float | None],
    show: Callable[[float], str],
    labels: Sequence[str],
    *,
    first: bool,
) -> None:
    places = range(len(values))
    known = [0.0 if value is None or value != value else value for value in values]
    bars = axis.barh(places, known, color=[COLORS[place % len(COLORS)] for place in places], height=0.7)
    texts = [NONE if value is None or value != value else show(value) for value in values]
    axis.bar_label(bars, texts, padding=3, color=INK)
    axis.set_title(title, loc="left")
    axis.set_yticks(places, labels if first else [""] * len(labels))
    axis.invert_yaxis()
    axis.set_xlim(0, 1.3 * max(known, default=0) or 1)
    axis.set_xticks([])
    axis.tick_params(left=False)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def _listed(values: Sequence[float | None], show: Callable[[float], str], columns: Sequence[Column]) -> str:
    pairs = zip(columns, values, strict=True)
    return ", ".join(f"{column.label} {show(value)}" for column, value in pairs if value is not None)


def agreement(report: QualityReport) -> str:
    """Every person's OKS with the first artifact, in ascending order, as SVG; empty where nobody is compared."""
    shown = [
        (place, column, np.sort(column.similarity[~np.isnan(column.similarity)]))
        for place, column in enumerate(report.columns)
        if column.agreement is not None and not np.isnan(column.similarity).all()
    ]
    if not shown:
        return ""
    with drawing("agreement") as pyplot:
        figure, axis = pyplot.subplots(figsize=(_WIDTH, 3.2), layout="constrained")
        for place, column, values in shown:
            share = 100 * (np.arange(len(values)) + 0.5) / len(values)
            axis.plot(share, values, color=COLORS[place % len(COLORS)], label=column.label)
        axis.set(
            xlabel="people, %, from the least agreement", ylabel="OKS with first", xlim=(0, 100), ylim=(None, 1.01)
        )
        _finish(axis)
        told = (f"{column.label} lowest {values[0]:.3f}, median {np.median(values):.3f}" for _, column, values in shown)
        return as_svg(figure, f"OKS of each person, sorted: {'; '.join(told)}")


def noise(report: QualityReport) -> str:
    """Each layer's signal-to-quantization-noise ratio in the order of the layers, as SVG; empty where none is known."""
    shown = [(place, column) for place, column in enumerate(report.columns) if column.errors]
    if not shown:
        return ""
    with drawing("noise") as pyplot:
        figure, axis = pyplot.subplots(figsize=(_WIDTH, 3.6), layout="constrained")
        for place, column in shown:
            color = COLORS[place % len(COLORS)]
            values = [error.sqnr_db for error in column.errors]
            axis.plot(range(1, len(values) + 1), values, color=color, linewidth=1, label=column.label)
            floats = [(number, e.sqnr_db) for number, e in enumerate(column.errors, 1) if not e.int8]
            if floats and len(floats) < len(values):
                axis.plot(*zip(*floats, strict=True), "o", color=color, markersize=4, label=f"{column.label}, in float")
        axis.set(xlabel="layer, from the image to the heatmaps", ylabel="SQNR, dB", xlim=(0, None))
        _finish(axis)
        told = (
            f"{column.label} median {np.median([e.sqnr_db for e in column.errors]):.1f} dB, "
            f"lowest {min(e.sqnr_db for e in column.errors):.1f} dB"
            for _, column in shown
        )
        return as_svg(figure, f"SQNR of {len(shown[0][1].errors)} layers: {'; '.join(told)}")


def _finish(axis: Any) -> None:
    axis.grid(alpha=0.25, color=INK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, labelcolor=INK)


@contextmanager
def drawing(name: str) -> Iterator[Any]:
    """Yield Matplotlib's pyplot, without a screen, in the report's style; close its figures at the end.

    Args:
        name: What inner references of the figure are made of; unlike those of other figures on the page.
    """
    import matplotlib
    from matplotlib import pyplot

    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style = {
        "svg.fonttype": "none",  # text stays text: found, read aloud, and in the page's font
        "svg.hashsalt": name,
        "text.parse_math": False,  # a dollar in a file's name is a dollar
        "font.size": 10,
        "axes.titlesize": 10,
        **dict.fromkeys(inked, INK),
    }
    backend = matplotlib.get_backend()
    pyplot.switch_backend("svg")
    try:
        with pyplot.rc_context(style):
            yield pyplot
    finally:
        pyplot.close("all")
        pyplot.switch_backend(backend)


def as_svg(figure: Any, description: str) -> str:
    """Write a figure as an SVG element that takes the width of the page and the color of its text.

    Args:
        figure: Matplotlib's.
        description: What it shows, in words, for those who do not see it.
    """
    written = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=metadata)
    head, body = written.getvalue().split("<svg ", 1)[1].split(">", 1)
    (view_box,) = re.findall(r'viewBox="[^"]*"', head)
    # Groups are numbered in every figure anew, and nothing refers to them.
    body = re.sub(r'(<g) id="[^"]*_\d+"', r"\1", body).replace(INK, "currentColor")
    return f'<svg {view_box} role="img" aria-label="{escape(description)}">{body}'
