"""The report's plots, as SVG elements for its page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from itertools import cycle
from typing import Any

import numpy as np

from edgehr.converters.report.results import QualityReport
from edgehr.converters.report.table import NONE

# Told apart with color-blind eyes too (Okabe and Ito), on white and on black.
COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b3a100", "#999999")
# A color that nothing else has, in the place of the page's text color.
INK = "#123456"
_PANELS_PER_ROW = 3
_WIDTH = 10.0  # inches, of which the page shows as many as fit


def overview(report: QualityReport) -> str:
    """Draw bars of size, latency, accuracy, agreement and INT8 coverage."""
    panels = [panel for panel in _panels(report) if any(value is not None for value in panel[1])]
    labels = [each.label for each in report.artifacts]
    rows = -(-len(panels) // _PANELS_PER_ROW)
    with drawing("overview") as pyplot:
        size = (_WIDTH, rows * (0.75 + 0.3 * len(labels)))
        figure, axes = pyplot.subplots(rows, _PANELS_PER_ROW, figsize=size, squeeze=False, layout="constrained")
        figure.get_layout_engine().set(h_pad=0.1)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        for number, (axis, panel) in enumerate(zip(axes.flat, panels, strict=False)):
            _bars(axis, *panel, labels if number % _PANELS_PER_ROW == 0 else [""] * len(labels))
        told = []
        for title, values, spec in panels:
            pairs = zip(labels, values, strict=True)
            known = ", ".join(f"{label} {value:{spec}}" for label, value in pairs if value is not None)
            told.append(f"{title}: {known}")
        return as_svg(figure, f"Bars. {'; '.join(told)}")


def _panels(report: QualityReport) -> list[tuple[str, list[float | None], str]]:
    """List the title of each panel, its value for each artifact, and the format of a value."""
    artifacts, metric = report.artifacts, report.metric
    decimals = f".{report.reference.accuracy.decimals}f"
    agreed = [each.agreement for each in artifacts]
    relative = [each.metric if each else None for each in agreed]
    shares = [100 * each.coverage.int8_share if each.coverage else None for each in artifacts]
    return [
        ("size, MB", [each.size_bytes / 1e6 for each in artifacts], ".2f"),
        ("latency p50, ms", [each.latency.p50_ms for each in artifacts], ".1f"),
        (metric, [100 * each.accuracy.headline for each in artifacts], decimals),
        (f"mean {report.terms.similarity} with first", [each.similarity if each else None for each in agreed], ".3f"),
        (f"{metric} with first as truth", [100 * each.headline if each else None for each in relative], decimals),
        ("multiply-adds in INT8, %", shares, ".1f"),
    ]


def _bars(axis: Any, title: str, values: Sequence[float | None], spec: str, labels: Sequence[str]) -> None:
    rows = range(len(values))
    known = [0.0 if value is None or value != value else value for value in values]
    bars = axis.barh(rows, known, color=[COLORS[row % len(COLORS)] for row in rows], height=0.7)
    texts = [NONE if value is None or value != value else f"{value:{spec}}" for value in values]
    axis.bar_label(bars, texts, padding=3, color=INK)
    axis.set_title(title, loc="left")
    axis.set_yticks(rows, labels)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.3 * max(known, default=0) or 1)
    axis.set_xticks([])
    axis.tick_params(left=False)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def agreement(report: QualityReport) -> str:
    """Draw each sample's similarity with the first artifact, in ascending order; nothing where none is compared."""
    known = [each.similarity[~np.isnan(each.similarity)] for each in report.artifacts]
    curves = [
        (each.label, color, np.sort(values))
        for each, color, values in zip(report.artifacts, cycle(COLORS), known)
        if each.agreement is not None and len(values)
    ]
    if not curves:
        return ""
    terms = report.terms
    with drawing("agreement") as pyplot:
        figure, axis = pyplot.subplots(figsize=(_WIDTH, 3.2), layout="constrained")
        for label, color, values in curves:
            axis.plot(100 * (np.arange(len(values)) + 0.5) / len(values), values, color=color, label=label)
        axis.set_xlabel(f"{terms.samples}, %, from the least agreement")
        lowest = min(values[0] for _, _, values in curves)
        axis.set(ylabel=f"{terms.similarity} with first", xlim=(0, 100), ylim=(None, 1 + 0.02 * max(1 - lowest, 1e-3)))
        _finish(axis)
        told = [f"{label} lowest {values[0]:.3f}, median {np.median(values):.3f}" for label, _, values in curves]
        return as_svg(figure, f"{terms.similarity} of each {terms.sample}, sorted: {'; '.join(told)}")


def noise(report: QualityReport) -> str:
    """Draw each layer's signal-to-quantization-noise ratio in the order of the layers; nothing where none is known."""
    artifacts = [(each, color) for each, color in zip(report.artifacts, cycle(COLORS)) if each.errors]
    if not artifacts:
        return ""
    told = []
    with drawing("noise") as pyplot:
        figure, axis = pyplot.subplots(figsize=(_WIDTH, 3.6), layout="constrained")
        for each, color in artifacts:
            values = [error.sqnr_db for error in each.errors]
            axis.plot(range(1, len(values) + 1), values, color=color, linewidth=1, label=each.label)
            floats = [(number, error.sqnr_db) for number, error in enumerate(each.errors, 1) if not error.int8]
            if floats and len(floats) < len(values):
                axis.plot(*zip(*floats, strict=True), "o", color=color, markersize=4, label=f"{each.label}, in float")
            told.append(f"{each.label} median {np.median(values):.1f} dB, lowest {min(values):.1f} dB")
        axis.set(xlabel="layer, from the image to the output", ylabel="SQNR, dB", xlim=(0, None))
        _finish(axis)
        return as_svg(figure, f"SQNR of {len(artifacts[0][0].errors)} layers: {'; '.join(told)}")


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
